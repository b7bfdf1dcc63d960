import { decoderPlan, preNorms } from '../decoder-plan.js';
import type { Architecture } from '../plan-model.js';

/** Mistral: Llama with a sliding window on every layer, where `sliding_window` is not null. */
export const mistral: Architecture = (config) => {
  const window = config.nullableInteger('sliding_window', 4096);
  const attentionBias = config.boolean('attention_bias', false);
  return decoderPlan(config, {
    architecture: 'mistral',
    defaults: { maxPositions: 131_072, keyValueHeads: 8, tied: false, activation: { field: 'hidden_act', name: 'silu' } },
    bias: { projections: attentionBias, output: attentionBias, mlp: config.boolean('mlp_bias', false) },
    headNorms: false,
    gainOffset: 0,
    norms: preNorms,
    window: () => window,
    embeddingScale: () => 1,
  });
};
