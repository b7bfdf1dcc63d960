import { chooseOutliers, encodeBeside, type Method, requireShare, type Solver, type TileFit } from '@fewbit/algorithm';
import { meanSquare } from '@fewbit/calibration';
import { FewbitError, firstNonFinite } from '@fewbit/core';
import { encodeMatrix, fitMatrix, fitSearched, importanceAt } from '@fewbit/formats';

export interface RtnOptions {
  /**
   * Search of each tile's range. `off`: none, the range holds every weight. `plain`: the range of least error |w − ŵ|^2.4 (GPTQ's `mse` option).
   * `hessian`: of least error E[x²]·(w − ŵ)², x the weight's input; needs calibration. Default `off`, or least error by the importance that
   * the layer comes with.
   */
  readonly clip?: 'off' | 'plain' | 'hessian';
  /**
   * The share of each matrix's weights that is kept beside the codes, those that save the most error, which counts by the power of their input
   * where it is known (`clip` 'hessian', or the layer's importance). Default 0. Layout `fewbit` stores them.
   */
  readonly outliers?: number;
}

/** Round to nearest as a method: no transforms, every weight to its nearest level. Throws `usage` for an option that cannot be taken. */
export function rtn(options: RtnOptions = {}): Method {
  return { id: 'rtn', transforms: [], solver: nearest(options) };
}

/** The solver alone, to follow transforms. `solve` throws `numeric` for a weight with NaN or Inf. */
export function nearest({ clip = 'off', outliers = 0 }: RtnOptions = {}): Solver {
  if (clip !== 'off' && clip !== 'plain' && clip !== 'hessian') {
    throw new FewbitError('usage', `RTN's clip '${String(clip)}' is not known: take off, plain or hessian.`);
  }
  requireShare('RTN', outliers);
  const power = meanSquare();
  return {
    id: 'nearest',
    needs: clip === 'hessian' ? [power] : [],
    ...(outliers > 0 && { outliers }),
    solve({ name, weight, format, input, importance: given }) {
      if (firstNonFinite(weight.data) >= 0)
        throw new FewbitError('numeric', `The weight of ${name} holds NaN or Inf: the checkpoint is damaged.`);
      const searches = clip !== 'off' || given !== undefined;
      if (!searches && outliers === 0) return { matrix: encodeMatrix(weight, format), notes: [] };
      const importance = clip === 'hessian' ? input.get(power) : given;
      const bound = format.bind?.(weight) ?? format;
      const fit: TileFit<unknown> = (tile, weights) =>
        searches ? fitSearched(bound, tile, weights ? { importance: weights } : {}) : bound.fit(tile);
      if (outliers > 0) {
        const chosen = chooseOutliers({ weight, format: bound, share: outliers, fit, importance, cost: importance });
        return { matrix: encodeBeside(weight, bound, chosen), notes: [] };
      }
      const params = fitMatrix(weight, bound, (tile, _row, col) => fit(tile, importance && importanceAt(importance, col, tile.cols)));
      return { matrix: encodeMatrix(weight, bound, { params }), notes: [] };
    },
  };
}
