import { decoderPlan, layerWindows, preNorms } from '../decoder-plan.js';
import type { Architecture } from '../plan-model.js';

/** Qwen3: each head's query and key is normalised before it is turned; no biases unless `attention_bias`. */
export const qwen3: Architecture = (config) => {
  const window = config.boolean('use_sliding_window', false) ? config.nullableInteger('sliding_window', 4096) : undefined;
  const fullLayers = config.nullableInteger('max_window_layers', 28, 0) ?? 0;
  const attentionBias = config.boolean('attention_bias', false);
  return decoderPlan(config, {
    architecture: 'qwen3',
    defaults: { maxPositions: 32_768, keyValueHeads: 32, headSize: 128, tied: false, activation: { field: 'hidden_act', name: 'silu' } },
    bias: { projections: attentionBias, output: attentionBias, mlp: false },
    headNorms: true,
    gainOffset: 0,
    norms: preNorms,
    window: layerWindows(config, window, (layer) => layer >= fullLayers),
    embeddingScale: () => 1,
  });
};
