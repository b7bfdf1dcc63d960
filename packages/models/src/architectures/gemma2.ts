import { FewbitError } from '@fewbit/core';
import { decoderPlan, layerWindows } from '../decoder-plan.js';
import type { Architecture } from '../plan-model.js';

/** Gemma 2: gains stored less 1, scaled embeddings, post-norms, soft-capped scores and logits, a window on every other layer. */
export const gemma2: Architecture = (config) => {
  if (config.boolean('use_bidirectional_attention', false)) {
    throw new FewbitError('unsupported', 'Gemma 2 with use_bidirectional_attention is an encoder; Fewbit runs causal language models.');
  }
  const attentionBias = config.boolean('attention_bias', false);
  return decoderPlan(config, {
    architecture: 'gemma2',
    defaults: {
      maxPositions: 8192,
      keyValueHeads: 4,
      headSize: 256,
      tied: true,
      activation: { field: 'hidden_activation', name: 'gelu_pytorch_tanh' },
    },
    bias: { projections: attentionBias, output: attentionBias, mlp: false },
    headNorms: false,
    gainOffset: 1,
    norms: {
      attention: 'input_layernorm',
      attentionPost: 'post_attention_layernorm',
      mlp: 'pre_feedforward_layernorm',
      mlpPost: 'post_feedforward_layernorm',
    },
    window: layerWindows(config, config.nullableInteger('sliding_window', 4096), (layer) => layer % 2 === 0),
    scoreScale: config.positive('query_pre_attn_scalar', 256) ** -0.5,
    scoreSoftcap: config.nullablePositive('attn_logit_softcapping', 50),
    logitSoftcap: config.nullablePositive('final_logit_softcapping', 30),
    // transformers rounds √hidden to the dtype it computes in; Fewbit computes in float32
    embeddingScale: (hidden) => Math.fround(Math.sqrt(hidden)),
  });
};
