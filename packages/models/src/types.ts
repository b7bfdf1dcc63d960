import type { TensorName } from '@fewbit/core';
import type { Activation, Rotary } from '@fewbit/kernels';

/** A linear layer y = W·x + b. Its tensors are `${module}.weight` and, with `bias`, `${module}.bias`. */
export interface LinearPlan {
  readonly module: string;
  /** Outputs. */
  readonly rows: number;
  /** Inputs. */
  readonly cols: number;
  readonly bias: boolean;
  /** The file stores [in, out] (GPT-2's Conv1D); everyone above the reader sees [out, in]. */
  readonly transposed: boolean;
}

export interface NormPlan {
  readonly kind: 'rms' | 'layer';
  readonly gain: TensorName;
  readonly bias?: TensorName;
  readonly epsilon: number;
  /** 1 where the file stores gain − 1 (Gemma). */
  readonly gainOffset: number;
}

export interface AttentionPlan {
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly scale: number;
  readonly rotary?: Rotary;
  readonly window?: number;
  readonly softcap?: number;
  /** Norms of each head's query and key (Qwen3). */
  readonly queryNorm?: NormPlan;
  readonly keyNorm?: NormPlan;
}

export type Projections =
  | { readonly kind: 'separate'; readonly query: LinearPlan; readonly key: LinearPlan; readonly value: LinearPlan }
  /** One matrix whose outputs are queries, keys, values in this order (GPT-2's c_attn). */
  | { readonly kind: 'fused'; readonly all: LinearPlan };

export type MlpPlan =
  | {
      readonly kind: 'gated';
      readonly gate: LinearPlan;
      readonly up: LinearPlan;
      readonly down: LinearPlan;
      readonly activation: Activation;
    }
  | { readonly kind: 'plain'; readonly up: LinearPlan; readonly down: LinearPlan; readonly activation: Activation };

/** Linears that share one input, in the order in which a forward pass meets them. */
export interface Site {
  readonly id: 'attention.input' | 'attention.output' | 'mlp.input' | 'mlp.down';
  readonly linears: readonly LinearPlan[];
}

/** A pair of which the producer's output channels may be divided and the consumers' input channels multiplied, exactly. */
export interface Scaling {
  /** A norm gain or a linear weight. */
  readonly producer: TensorName;
  readonly consumers: readonly TensorName[];
  /** As in NormPlan, where the producer is a gain. */
  readonly gainOffset?: number;
}

/** One pre-norm transformer block, as data. */
export interface BlockPlan {
  readonly index: number;
  /** `model.layers.0` */
  readonly prefix: string;
  readonly attentionNorm: NormPlan;
  readonly attention: AttentionPlan;
  readonly projections: Projections;
  readonly output: LinearPlan;
  /** Applied to the attention's output before it joins the residual stream (Gemma 2). */
  readonly attentionPostNorm?: NormPlan;
  readonly mlpNorm: NormPlan;
  readonly mlp: MlpPlan;
  readonly mlpPostNorm?: NormPlan;
  readonly sites: readonly Site[];
  readonly scalings: readonly Scaling[];
}

/** Everything that a forward pass must know of a model besides its weights. */
export interface ModelPlan {
  /** `llama`, `qwen2`, … */
  readonly architecture: string;
  readonly hidden: number;
  readonly vocabulary: number;
  readonly maxPositions: number;
  readonly embedding: {
    readonly tokens: TensorName;
    readonly positions?: TensorName;
    /** Multiplies the embeddings (Gemma: √hidden, rounded to float32); 1 otherwise. */
    readonly scale: number;
  };
  readonly blocks: readonly BlockPlan[];
  readonly finalNorm: NormPlan;
  /** `weight` is the token embedding where tied. */
  readonly head: { readonly weight: TensorName; readonly tied: boolean };
  readonly logitSoftcap?: number;
}
