import type { Measured, Statistic } from '@fewbit/calibration';
import type { Matrix, TensorName } from '@fewbit/core';
import type { Importance, NumericFormat, QuantizedMatrix } from '@fewbit/formats';
import type { Algebra } from '@fewbit/kernels';
import type { BlockPlan } from '@fewbit/models';

/** An exact change of the model, as data: the function computed stays the same. */
export type Rewrite =
  /** producer's output channel i ÷ by[i], every consumer's input channel i × by[i]. */
  {
    readonly op: 'scale';
    /** A norm gain or a linear weight, with its bias if it has one. */
    readonly producer: TensorName;
    readonly consumers: readonly TensorName[];
    readonly by: Float32Array;
    /** Where the producer is a gain: the file stores gain − gainOffset (Gemma: 1). Default 0. */
    readonly gainOffset?: number;
  };

export interface TransformContext {
  readonly block: BlockPlan;
  weight(name: TensorName): Matrix;
  format(name: TensorName): NumericFormat | undefined;
  input(site: string): Measured;
}

/** Plans exact rewrites of a block before it is rounded (AWQ's scaling, SmoothQuant). */
export interface Transform {
  readonly id: string;
  readonly needs: readonly Statistic<unknown>[];
  plan(context: TransformContext): Rewrite[] | Promise<Rewrite[]>;
}

/** One linear layer to round. */
export interface LayerContext {
  readonly name: TensorName;
  /** [out, in]; the solver must not change it. */
  readonly weight: Matrix;
  readonly format: NumericFormat;
  /** Statistics of the layer's input. */
  readonly input: Measured;
  /** How much an error in each input counts, where someone else has measured it; a solver that measures it itself does not look at it. */
  readonly importance?: Importance;
  readonly algebra: Algebra;
  readonly seed: number;
}

export interface Solved {
  readonly matrix: QuantizedMatrix;
  /** What a reader of the report must know: raised damping, a fall back to RTN, dead columns. */
  readonly notes: readonly string[];
}

/** Multiply-adds of the dense algebra. */
export interface SolverWork {
  /** In Cholesky factors and what is solved with them. */
  readonly factoring: number;
  /** In products in double. */
  readonly products: number;
}

/** Rounds one matrix: the only lossy step. */
export interface Solver {
  readonly id: string;
  readonly needs: readonly Statistic<unknown>[];
  /** The most of the weights, as a share, that it keeps beside the codes: the layout must hold outliers then. Default: none. */
  readonly outliers?: number;
  /** Bytes that it holds at once for the layers of a site of `cols` inputs and at most `rows` outputs, beside the layer itself and the statistics: for plans. Default: next to nothing. */
  scratch?(rows: number, cols: number): number;
  /** What it asks of the algebra for the layers of a site of `cols` inputs, whose outputs are `rows`: for plans. Default: nothing. */
  work?(rows: readonly number[], cols: number): SolverWork;
  solve(layer: LayerContext): Solved | Promise<Solved>;
}

/** A quantization method: exact rewrites, then one rounding of each matrix. */
export interface Method {
  readonly id: string;
  readonly transforms: readonly Transform[];
  readonly solver: Solver;
}
