import { decoderPlan, layerWindows, preNorms } from '../decoder-plan.js';
import type { Architecture } from '../plan-model.js';

/** Qwen2 and Qwen2.5: biases on queries, keys and values; from layer `max_window_layers` on a sliding window, where it is switched on. */
export const qwen2: Architecture = (config) => {
  const window = config.boolean('use_sliding_window', false) ? config.nullableInteger('sliding_window', 4096) : undefined;
  const fullLayers = config.nullableInteger('max_window_layers', 28, 0) ?? 0;
  return decoderPlan(config, {
    architecture: 'qwen2',
    defaults: { maxPositions: 32_768, keyValueHeads: 32, tied: false, activation: { field: 'hidden_act', name: 'silu' } },
    bias: { projections: true, output: false, mlp: false },
    headNorms: false,
    gainOffset: 0,
    norms: preNorms,
    window: layerWindows(config, window, (layer) => layer >= fullLayers),
    embeddingScale: () => 1,
  });
};
