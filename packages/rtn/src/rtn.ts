import type { Method, Solver } from '@fewbit/algorithm';
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
}

/** Round to nearest as a method: no transforms, every weight to its nearest level. Throws `usage` for an unknown `clip`. */
export function rtn(options: RtnOptions = {}): Method {
  return { id: 'rtn', transforms: [], solver: nearest(options) };
}

/** The solver alone, to follow transforms. `solve` throws `numeric` for a weight with NaN or Inf. */
export function nearest({ clip = 'off' }: RtnOptions = {}): Solver {
  if (clip !== 'off' && clip !== 'plain' && clip !== 'hessian') {
    throw new FewbitError('usage', `RTN's clip '${String(clip)}' is not known: take off, plain or hessian.`);
  }
  const power = meanSquare();
  return {
    id: 'nearest',
    needs: clip === 'hessian' ? [power] : [],
    solve({ name, weight, format, input, importance: given }) {
      if (firstNonFinite(weight.data) >= 0)
        throw new FewbitError('numeric', `The weight of ${name} holds NaN or Inf: the checkpoint is damaged.`);
      if (clip === 'off' && !given) return { matrix: encodeMatrix(weight, format), notes: [] };
      const importance = clip === 'hessian' ? input.get(power) : given;
      const bound = format.bind?.(weight) ?? format;
      const params = fitMatrix(weight, bound, (tile, _row, col) =>
        fitSearched(bound, tile, importance ? { importance: importanceAt(importance, col, tile.cols) } : {}),
      );
      return { matrix: encodeMatrix(weight, bound, { params }), notes: [] };
    },
  };
}
