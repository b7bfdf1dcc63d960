import type { TileFit } from '@fewbit/algorithm';
import { fitSearched, type NumericFormat } from '@fewbit/formats';
import type { Clip } from './options.js';

export interface TileFitter<P> {
  readonly fit: TileFit<P>;
  /** What `fit` weighs errors by, by column; undefined: all alike. */
  readonly importance: Float64Array | undefined;
}

/** Fits tiles as `clip` says; `costs` are the errors' (`errorCosts`). */
export function tileFitter<P>(
  format: NumericFormat<P>,
  clip: Clip,
  { diagonal, costs }: { diagonal: Float64Array; costs: Float64Array },
): TileFitter<P> {
  if (clip === 'off') return { fit: (tile) => format.fit(tile), importance: undefined };
  return {
    fit: (tile, importance) => fitSearched(format, tile, importance ? { importance } : {}),
    importance: clip === 'plain' ? undefined : clip === 'hessian' ? diagonal : costs,
  };
}

/** 1/U[k,k]² by column: what a unit of squared error adds to the layer's when all later columns make up for it. */
export function errorCosts(sequence: Uint32Array, upper: Float64Array): Float64Array {
  const n = sequence.length;
  const costs = new Float64Array(n);
  for (const [k, column] of sequence.entries()) costs[column] = 1 / upper[k * n + k]! ** 2;
  return costs;
}
