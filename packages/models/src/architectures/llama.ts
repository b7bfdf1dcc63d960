import { decoderPlan, preNorms } from '../decoder-plan.js';
import type { Architecture } from '../plan-model.js';

/** Llama 1 to 3 and models saved as such (TinyLlama, SmolLM2, Vicuna …). */
export const llama: Architecture = (config) => {
  const attentionBias = config.boolean('attention_bias', false);
  return decoderPlan(config, {
    architecture: 'llama',
    defaults: { maxPositions: 2048, tied: false, activation: { field: 'hidden_act', name: 'silu' } },
    bias: { projections: attentionBias, output: attentionBias, mlp: config.boolean('mlp_bias', false) },
    headNorms: false,
    gainOffset: 0,
    norms: preNorms,
    window: () => undefined,
    embeddingScale: () => 1,
  });
};
