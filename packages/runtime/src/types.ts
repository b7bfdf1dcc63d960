import type { Matrix, Tensor } from '@fewbit/core';
import type { ActivationRounding, KeyValueRounding, QuantizedMatrix } from '@fewbit/formats';
import type { Backend, DeviceTensor } from '@fewbit/kernels';
import type { BlockPlan, ModelPlan, Site } from '@fewbit/models';

/** Where weights come from, decoded: a float checkpoint, a quantized one, or memory. Names are checkpoint names. */
export interface WeightSource {
  readonly plan: ModelPlan;
  /** A linear's weight as [out, in] (transposed and dequantized where the file is not so), by module path. */
  linear(module: string): Promise<Matrix>;
  /** The codes of a quantized linear, of the embedding or the head; undefined where it is stored in float. */
  quantized(module: string): Promise<QuantizedMatrix | undefined>;
  /**
   * The weight of a linear, the embedding or the head where it is stored as [out, in] of BF16 or F32, its values checked; undefined where it is stored otherwise. A source
   * without it has none to show.
   */
  stored?(module: string): Promise<StoredWeight | undefined>;
  /** How the inputs of a linear are rounded, or undefined where they are not. A source without it rounds none. */
  activation?(module: string): Promise<ActivationRounding | undefined>;
  /** How the keys and values of an attention layer (`model.layers.0.self_attn`) are rounded, or undefined where they are not. A source without it rounds none. */
  keyValues?(attention: string): Promise<KeyValueRounding | undefined>;
  /** Any other float tensor by its full name. */
  vector(name: string): Promise<{ readonly shape: readonly number[]; readonly data: Float32Array }>;
  close(): Promise<void>;
}

/** A weight as its checkpoint has it, to be read only. */
export interface StoredWeight {
  readonly tensor: Tensor & { readonly dtype: 'BF16' | 'F32' };
  /** Takes what is mapped of it out of memory until it is used again. */
  release(): void;
}

/** A block's weights in a backend's memory, by tensor name (`….weight`, `….bias`). */
export type BlockWeights = ReadonlyMap<string, DeviceTensor>;

/** How the inputs of a block's linears are rounded, by module; modules that are not there take them as they come. */
export type BlockActivations = ReadonlyMap<string, ActivationRounding>;

/**
 * The live tensors of a pass, of one sequence or of several, between two stages of a block: `input` is what the next site's linears
 * take, `residual` the stream they will join. Before the first stage only `residual` exists.
 */
export interface StageState {
  readonly residual: DeviceTensor;
  readonly input?: DeviceTensor;
}

export interface StageContext {
  readonly backend: Backend;
  readonly weights: BlockWeights;
  /** Default: no inputs are rounded. */
  readonly activations?: BlockActivations;
  /** Default: keys and values stay as they are. */
  readonly keyValues?: KeyValueRounding;
  /** Whose rows the tensors hold, in the order of the rows. */
  readonly sequences: readonly SequenceRows[];
}

/** Successive tokens of one sequence among the rows of a pass. */
export interface SequenceRows {
  readonly rows: number;
  /** Position of the first row. */
  readonly start: number;
  /** Keys and values of earlier positions; absent for a whole sequence at once. */
  readonly cache?: BlockCache;
}

/** Pages of one shape: position p is row p mod rows of page ⌊p / rows⌋. Positions 0 … start − 1 are held. */
export interface BlockCache {
  /** Pages round keys and values as the model asks when they are stored; else that is done before. */
  readonly rounds: boolean;
  readonly keys: readonly DeviceTensor[];
  readonly values: readonly DeviceTensor[];
}

/**
 * A block's forward pass, cut where a site's input is ready. `stages[i]` leaves `input` ready for `site`;
 * the last stage has no site and leaves the block's output as `residual`. Running them in order is the forward
 * pass; calibration runs stage i for every sequence, solves that site's linears, puts the rounded
 * weights in place, and goes on: true-sequential order for the price of one pass.
 */
export interface Stage {
  readonly site?: Site;
  run(state: StageState, context: StageContext): StageState;
}
export type BlockStages = (block: BlockPlan) => readonly Stage[];
