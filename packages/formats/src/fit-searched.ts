import { FewbitError } from '@fewbit/core';
import { leastError } from './best-params.js';
import type { Importance, NumericFormat, Tile } from './types.js';

export interface FitSearchedOptions {
  /** Weight of each column's error (length `tile.cols`), such as the mean square of that input. Default: all 1. */
  readonly importance?: Importance;
  /** How many shrink factors are tried, 1 the first of them. Default 80. */
  readonly candidates?: number;
  /** The factors go evenly from 1 down to this one, which is not tried itself. Default 0.2. */
  readonly minShrink?: number;
  /** Power of the error |x − x̂|. Default 2.4, the published choice of GPTQ's `mse` option; 2 when `importance` is given, for then the error estimates the output's square. */
  readonly norm?: number;
}

/**
 * Parameters for `tile` by the format's own search where it has one; else those with the least Σ importance·|x − x̂|^norm among `format.fit(tile, shrink)`; of equals the least shrunk. Deterministic.
 * `candidates`, `minShrink` and `norm` are for formats without a search. With the defaults these are the candidates of GPTQ's `mse` option: 1 − i/100 for i < 80. Throws `usage` for options out of range.
 */
export function fitSearched<P>(format: NumericFormat<P>, tile: Tile, options: FitSearchedOptions = {}): P {
  const { importance, candidates = 80, minShrink = 0.2, norm = importance ? 2 : 2.4 } = options;
  validate(tile, importance, candidates, minShrink, norm);
  if (format.search) return format.search(tile, importance);
  const fit = format.fits?.(tile) ?? ((shrink: number) => format.fit(tile, shrink));
  return leastError(format, tile, { importance, norm }, (offer) => {
    for (let i = 0; i < candidates; i++) if (offer(fit(i === 0 ? 1 : 1 - (i * (1 - minShrink)) / candidates))) return;
  });
}

function validate(tile: Tile, importance: Importance | undefined, candidates: number, minShrink: number, norm: number): void {
  if (importance && importance.length !== tile.cols) {
    throw new FewbitError(
      'usage',
      `The tile has ${tile.cols} columns, but importance has ${importance.length} values; give one per column.`,
    );
  }
  if (!Number.isSafeInteger(candidates) || candidates < 1)
    throw new FewbitError('usage', `Clip search candidates is ${candidates}; use a whole number of at least 1.`);
  if (!(minShrink > 0 && minShrink <= 1)) throw new FewbitError('usage', `Clip search minShrink is ${minShrink}; use a number in (0, 1].`);
  if (!(norm > 0)) throw new FewbitError('usage', `Clip search norm is ${norm}; use a positive number.`);
}
