import { FewbitError } from '@fewbit/core';
import { activation } from './activation.js';
import { blockPlan } from './block-plan.js';
import type { ConfigReader } from './config-reader.js';
import { requireDivisible, requireLayers } from './require-shape.js';
import { rotary } from './rotary.js';
import type { BlockPlan, LinearPlan, ModelPlan, NormPlan } from './types.js';

/** What sets one descendant of Llama apart from another. */
export interface DecoderTraits {
  readonly architecture: string;
  /** transformers' defaults for fields that a config.json may leave out. */
  readonly defaults: {
    readonly maxPositions: number;
    /** Missing: as many as query heads. */
    readonly keyValueHeads?: number;
    /** Missing: hidden_size ÷ num_attention_heads. */
    readonly headSize?: number;
    readonly tied: boolean;
    readonly activation: { readonly field: string; readonly name: string };
  };
  readonly bias: { readonly projections: boolean; readonly output: boolean; readonly mlp: boolean };
  /** Queries and keys are normalised head by head. */
  readonly headNorms: boolean;
  /** 1 where norms store gain − 1. */
  readonly gainOffset: number;
  /** Names of a block's norms; the post-norms only where there are any. */
  readonly norms: {
    readonly attention: string;
    readonly attentionPost?: string;
    readonly mlp: string;
    readonly mlpPost?: string;
  };
  /** Positions that a layer sees, or undefined for all. */
  readonly window: (layer: number) => number | undefined;
  /** Multiplies q·k; missing: 1/√headSize. */
  readonly scoreScale?: number;
  readonly scoreSoftcap?: number | undefined;
  readonly logitSoftcap?: number | undefined;
  readonly embeddingScale: (hidden: number) => number;
}

/** The norms of every Llama descendant without post-norms. */
export const preNorms = { attention: 'input_layernorm', mlp: 'post_attention_layernorm' } as const;

/** The plan of a model with Llama's tensor names, RMS norms, rotary positions and gated MLP. */
export function decoderPlan(config: ConfigReader, traits: DecoderTraits): ModelPlan {
  const { defaults, gainOffset } = traits;
  const hidden = config.integer('hidden_size');
  const vocabulary = config.integer('vocab_size');
  const intermediate = config.integer('intermediate_size');
  const layers = requireLayers(config.integer('num_hidden_layers'));
  const heads = config.integer('num_attention_heads');
  const keyValueHeads = config.nullableInteger('num_key_value_heads', defaults.keyValueHeads) ?? heads;
  const headSize =
    config.nullableInteger('head_dim', defaults.headSize) ?? requireDivisible('hidden_size', hidden, 'num_attention_heads', heads);
  requireDivisible('num_attention_heads', heads, 'num_key_value_heads', keyValueHeads);
  const maxPositions = config.integer('max_position_embeddings', defaults.maxPositions);
  const epsilon = config.positive('rms_norm_eps', 1e-6);
  const turns = rotary(config, headSize, maxPositions);
  const act = activation(config, defaults.activation.field, defaults.activation.name);
  const tied = config.boolean('tie_word_embeddings', defaults.tied);

  const norm = (gain: string): NormPlan => ({ kind: 'rms', gain: `${gain}.weight`, epsilon, gainOffset });
  const linear = (module: string, rows: number, cols: number, bias: boolean): LinearPlan => ({
    module,
    rows,
    cols,
    bias,
    transposed: false,
  });

  const block = (index: number): BlockPlan => {
    const prefix = `model.layers.${index}`;
    const { bias, norms } = traits;
    const window = traits.window(index);
    const project = (name: string, count: number) => linear(`${prefix}.self_attn.${name}`, count * headSize, hidden, bias.projections);
    const mlp = (name: string, rows: number, cols: number) => linear(`${prefix}.mlp.${name}`, rows, cols, bias.mlp);
    return blockPlan({
      index,
      prefix,
      attentionNorm: norm(`${prefix}.${norms.attention}`),
      attention: {
        heads,
        keyValueHeads,
        headSize,
        scale: traits.scoreScale ?? headSize ** -0.5,
        rotary: turns,
        ...(window !== undefined && { window }),
        ...(traits.scoreSoftcap !== undefined && { softcap: traits.scoreSoftcap }),
        ...(traits.headNorms && { queryNorm: norm(`${prefix}.self_attn.q_norm`), keyNorm: norm(`${prefix}.self_attn.k_norm`) }),
      },
      projections: {
        kind: 'separate',
        query: project('q_proj', heads),
        key: project('k_proj', keyValueHeads),
        value: project('v_proj', keyValueHeads),
      },
      output: linear(`${prefix}.self_attn.o_proj`, hidden, heads * headSize, bias.output),
      ...(norms.attentionPost && { attentionPostNorm: norm(`${prefix}.${norms.attentionPost}`) }),
      mlpNorm: norm(`${prefix}.${norms.mlp}`),
      mlp: {
        kind: 'gated',
        gate: mlp('gate_proj', intermediate, hidden),
        up: mlp('up_proj', intermediate, hidden),
        down: mlp('down_proj', hidden, intermediate),
        activation: act,
      },
      ...(norms.mlpPost && { mlpPostNorm: norm(`${prefix}.${norms.mlpPost}`) }),
    });
  };

  const tokens = 'model.embed_tokens.weight';
  return {
    architecture: traits.architecture,
    hidden,
    vocabulary,
    maxPositions,
    embedding: { tokens, scale: traits.embeddingScale(hidden) },
    blocks: Array.from({ length: layers }, (_, index) => block(index)),
    finalNorm: norm('model.norm'),
    head: { weight: tied ? tokens : 'lm_head.weight', tied },
    ...(traits.logitSoftcap !== undefined && { logitSoftcap: traits.logitSoftcap }),
  };
}

/**
 * The window of each layer, from `layer_types` where the config lists them, else from `slides`. `window` undefined: none.
 * Throws `config` when the list does not fit the layers, `unsupported` for other kinds of attention.
 */
export function layerWindows(
  config: ConfigReader,
  window: number | undefined,
  slides: (layer: number) => boolean,
): DecoderTraits['window'] {
  const kinds = config.texts('layer_types');
  const layers = config.integer('num_hidden_layers');
  if (kinds && kinds.length !== layers) {
    throw new FewbitError('config', `config.json: layer_types has ${kinds.length} entries, num_hidden_layers is ${layers}.`);
  }
  const strange = kinds?.find((kind) => kind !== 'full_attention' && kind !== 'sliding_attention');
  if (strange)
    throw new FewbitError('unsupported', `Layer type '${strange}' is not supported; supported are full_attention, sliding_attention.`);
  return (layer) => ((kinds ? kinds[layer] === 'sliding_attention' : slides(layer)) ? window : undefined);
}
