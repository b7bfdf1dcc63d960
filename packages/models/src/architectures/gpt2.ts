import { FewbitError } from '@fewbit/core';
import { activation } from '../activation.js';
import { blockPlan } from '../block-plan.js';
import type { Architecture } from '../plan-model.js';
import { requireDivisible, requireLayers } from '../require-shape.js';
import type { BlockPlan, LinearPlan, NormPlan } from '../types.js';

/** GPT-2: learned positions, layer norms, one matrix for queries, keys and values, weights stored [in, out] (Conv1D). */
export const gpt2: Architecture = (config, names) => {
  if (config.boolean('add_cross_attention', false)) {
    throw new FewbitError(
      'unsupported',
      'GPT-2 with add_cross_attention is a decoder to some encoder; Fewbit runs causal language models.',
    );
  }
  const hidden = config.integer('n_embd');
  const vocabulary = config.integer('vocab_size');
  const layers = requireLayers(config.integer('n_layer'));
  const heads = config.integer('n_head');
  const headSize = requireDivisible('n_embd', hidden, 'n_head', heads);
  const maxPositions = config.integer('n_positions', 1024);
  const inner = config.integer('n_inner', 4 * hidden);
  const epsilon = config.positive('layer_norm_epsilon', 1e-5);
  const act = activation(config, 'activation_function', 'gelu_new');
  const tied = config.boolean('tie_word_embeddings', true);
  const scale = config.boolean('scale_attn_weights', true) ? headSize ** -0.5 : 1;
  const scaleByLayer = config.boolean('scale_attn_by_inverse_layer_idx', false);
  // the checkpoint first published has no prefix; whatever transformers saves as a language model has
  const root = names?.has('wte.weight') ? '' : 'transformer.';

  const norm = (name: string): NormPlan => ({ kind: 'layer', gain: `${name}.weight`, bias: `${name}.bias`, epsilon, gainOffset: 0 });
  const linear = (module: string, rows: number, cols: number): LinearPlan => ({ module, rows, cols, bias: true, transposed: true });

  const block = (index: number): BlockPlan => {
    const prefix = `${root}h.${index}`;
    return blockPlan({
      index,
      prefix,
      attentionNorm: norm(`${prefix}.ln_1`),
      attention: { heads, keyValueHeads: heads, headSize, scale: scaleByLayer ? scale / (index + 1) : scale },
      projections: { kind: 'fused', all: linear(`${prefix}.attn.c_attn`, 3 * hidden, hidden) },
      output: linear(`${prefix}.attn.c_proj`, hidden, hidden),
      mlpNorm: norm(`${prefix}.ln_2`),
      mlp: {
        kind: 'plain',
        up: linear(`${prefix}.mlp.c_fc`, inner, hidden),
        down: linear(`${prefix}.mlp.c_proj`, hidden, inner),
        activation: act,
      },
    });
  };

  const tokens = `${root}wte.weight`;
  return {
    architecture: 'gpt2',
    hidden,
    vocabulary,
    maxPositions,
    embedding: { tokens, positions: `${root}wpe.weight`, scale: 1 },
    blocks: Array.from({ length: layers }, (_, index) => block(index)),
    finalNorm: norm(`${root}ln_f`),
    head: { weight: tied ? tokens : 'lm_head.weight', tied },
  };
};
