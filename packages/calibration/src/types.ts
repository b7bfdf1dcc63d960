import type { Matrix } from '@fewbit/core';
import type { Algebra } from '@fewbit/kernels';

/** Token windows to calibrate on. The same fingerprint means the same windows. */
export interface CalibrationSet {
  /** What the text is, for reports: a file name. */
  readonly source: string;
  readonly fingerprint: string;
  /** `--length` tokens each. */
  readonly windows: readonly Uint32Array[];
}

/** One window's inputs of a site, [tokens, features]. */
export interface SiteSample {
  /** From the stream that passes through the quantized layers so far. */
  readonly input: Matrix;
  /** From the untouched model, when a statistic asks for it. */
  readonly floatInput?: Matrix;
}

/** Something measured of the inputs of a site, in one pass and in memory that does not grow with the samples. */
export interface Statistic<R> {
  /** Same id, same result: sites gather each id once. */
  readonly id: string;
  /** Whether samples must carry `floatInput`. */
  readonly needsFloat: boolean;
  /** Of a site of `columns` features, with the result: for plans. Default: next to nothing. */
  bytes?(columns: number): number;
  /** Multiply-adds for a sample of one token: for plans. Default: one for each feature. */
  work?(columns: number): number;
  start(columns: number, algebra: Algebra): Accumulator<R>;
}

export interface Accumulator<R> {
  /** `gather` has seen that the sample is finite, or asks `finite` afterwards. */
  add(sample: SiteSample): void;
  /** False when a sample may have held NaN or Inf in a side that this statistic reads, for less than a look at all of it. Absent: `gather` looks itself. */
  finite?(): boolean;
  result(): R;
}

/** The statistics of one site. Throws `usage` for one that was not declared. */
export interface Measured {
  get<R>(statistic: Statistic<R>): R;
}
