import {
  chooseOutliers,
  encodeBeside,
  type LayerContext,
  leaveOut,
  type Method,
  outlierType,
  type Solved,
  type Solver,
  type SolverWork,
} from '@fewbit/algorithm';
import { crossGram, gram } from '@fewbit/calibration';
import { FewbitError, firstNonFinite, type Matrix } from '@fewbit/core';
import { encodeMatrix, fitMatrix, importanceAt, type NumericFormat, type QuantizedMatrix, type Tile, tileGrid } from '@fewbit/formats';
import { columnOrder } from './column-order.js';
import { type InverseFactor, inverseFactor } from './inverse-factor.js';
import { type GptqOptions, resolveOptions } from './options.js';
import { perSite } from './per-site.js';
import { sweep } from './sweep.js';
import { type Move, movedTarget, targetMove } from './target-move.js';
import { errorCosts, tileFitter } from './tile-fitter.js';

/** GPTQ (Frantar et al. 2022, arXiv 2210.17323) as a method: no transforms, one sweep per layer. Throws `usage` for an option that cannot be taken. */
export function gptq(options: GptqOptions = {}): Method {
  return { id: 'gptq', transforms: [], solver: gptqSolver(options) };
}

/**
 * The solver alone, to follow transforms. `solve` throws `numeric` for NaN or Inf in the weight or the statistics; a layer whose Hessian
 * no damping makes positive definite is rounded to nearest, with a note.
 */
export function gptqSolver(options: GptqOptions = {}): Solver {
  const { order, clip, damping, target, targetDamping, tokenWeight, outliers, block } = resolveOptions(options);
  const hessian = gram({ tokenWeight });
  const cross = crossGram({ tokenWeight });
  const moveOf = perSite<Move>();
  const factorOf = perSite<InverseFactor | undefined>();

  function solve({ name, weight: original, format: unbound, input, algebra }: LayerContext): Solved {
    const { rows, cols } = original;
    const h = input.get(hessian);
    requireFinite(`weight of ${name}`, original.data);
    requireFinite(`Hessian of ${name}`, h);
    const notes: string[] = [];

    let weight: Float64Array = Float64Array.from(original.data);
    if (target === 'float') {
      const move = moveOf(h, 0, () => targetMove({ h, c: input.get(cross), n: cols, damping: targetDamping }));
      const moved = movedTarget(weight, move, algebra);
      if (moved) weight = moved;
      else notes.push(`target left plain: the Hessian is not positive definite with targetDamping ${targetDamping}`);
    }
    const diagonal = Float64Array.from({ length: cols }, (_, j) => h[j * cols + j]!);
    const dead = zeroDeadColumns(weight, diagonal);
    if (dead > 0) notes.push(`${dead} of ${cols} inputs were always 0: their weights are set to 0`);

    const format = unbound.bind?.({ rows, cols, data: weight }) ?? unbound;
    const grid = tileGrid(format, rows, cols);
    const sequence = columnOrder(order, diagonal, grid.tileCols);
    // only the group-aware order depends on the tiles
    const factor = factorOf(h, order === 'group-aware' ? grid.tileCols : 0, () => inverseFactor(h, sequence, damping, algebra));
    if (!factor) {
      notes.push('rounded to nearest: the Hessian is not positive definite at any damping');
      return { matrix: roundToNearest(original, unbound, outliers), notes };
    }
    if (factor.damping > damping) notes.push(`damping raised from ${damping} to ${factor.damping} to make the Hessian positive definite`);

    const { upper } = factor;
    const costs = errorCosts(sequence, upper);
    const { fit, importance } = tileFitter(format, clip, { diagonal, costs });
    const moved = { rows, cols, data: weight };
    const chosen = outliers > 0 ? chooseOutliers({ weight: moved, format, share: outliers, fit, importance, cost: costs }) : undefined;
    const kept = chosen && { places: chosen.places, type: outlierType(weight) };
    // A tile can be fitted when the sweep reaches it if it is one row of columns that the sweep takes together, and no other tile has a say in it.
    const onTheWay = order !== 'activation' && grid.tileRows === 1 && !grid.flat && !format.settle;
    const fitAt = (tile: Tile, column: number, left: readonly number[] = []) =>
      fit(...leaveOut(tile, importance && importanceAt(importance, column, tile.cols), left));
    const params = onTheWay ? fitAt : (chosen?.params ?? fitMatrix(moved, format, (tile, _row, column) => fitAt(tile, column)));
    const swept = sweep({ weight, rows, cols, order: sequence, upper, format, params, ...(kept && { outliers: kept }), block, algebra });
    return { matrix: { rows, cols, spec: format.spec, ...swept }, notes };
  }

  /** Squares of the site: U, its source and a kernel's own; for the move to another target C − H, H + λI and M. Copies of the weight: the target, moved, in sweep order, and the errors. */
  function scratch(rows: number, cols: number): number {
    return ((target === 'float' ? 6 : 3) * cols ** 2 + 4 * rows * cols) * Float64Array.BYTES_PER_ELEMENT;
  }

  /** The factor of H⁻¹; the sweep's half of a product; for the other target M, or for layers of few rows what they solve without it, and the product that moves the weight. */
  function work(rows: readonly number[], cols: number): SolverWork {
    const all = rows.reduce((sum, count) => sum + count, 0);
    const swept = { factoring: cols ** 3 / 3, products: (all * cols ** 2) / 2 };
    if (target === 'plain') return swept;
    const solved = rows.some((count) => count >= cols) ? cols : all;
    const factors = rows.some((count) => count >= cols) ? 1 : rows.length;
    return { factoring: swept.factoring + (factors * cols ** 3) / 6 + solved * cols ** 2, products: swept.products + all * cols ** 2 };
  }

  return { id: 'gptq', needs: target === 'float' ? [hessian, cross] : [hessian], ...(outliers > 0 && { outliers }), scratch, work, solve };
}

function roundToNearest(weight: Matrix, unbound: NumericFormat, outliers: number): QuantizedMatrix {
  if (outliers === 0) return encodeMatrix(weight, unbound);
  const format = unbound.bind?.(weight) ?? unbound;
  return encodeBeside(weight, format, chooseOutliers({ weight, format, share: outliers, fit: (tile) => format.fit(tile) }));
}

/** Sets the columns whose input is always 0 to 0; returns their number. */
function zeroDeadColumns(weight: Float64Array, diagonal: Float64Array): number {
  const cols = diagonal.length;
  let dead = 0;
  for (let j = 0; j < cols; j++) {
    if (diagonal[j] !== 0) continue;
    dead++;
    for (let at = j; at < weight.length; at += cols) weight[at] = 0;
  }
  return dead;
}

function requireFinite(what: string, values: Float32Array | Float64Array): void {
  const at = firstNonFinite(values);
  if (at >= 0)
    throw new FewbitError('numeric', `The ${what} holds ${values[at]} at ${at}: the checkpoint or the calibration inputs are damaged.`);
}
