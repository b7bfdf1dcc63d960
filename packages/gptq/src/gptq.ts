import type { LayerContext, Method, Solved, Solver } from '@fewbit/algorithm';
import { crossGram, gram } from '@fewbit/calibration';
import { FewbitError, firstNonFinite } from '@fewbit/core';
import { encodeMatrix, fitMatrix, tileGrid } from '@fewbit/formats';
import { columnOrder } from './column-order.js';
import { type InverseFactor, inverseFactor } from './inverse-factor.js';
import { type GptqOptions, resolveOptions } from './options.js';
import { perSite } from './per-site.js';
import { sweep } from './sweep.js';
import { type Move, movedTarget, targetMove } from './target-move.js';
import { tileFitter } from './tile-fitter.js';

/** GPTQ (Frantar et al. 2022, arXiv 2210.17323) as a method: no transforms, one sweep per layer. Throws `usage` for an option that cannot be taken. */
export function gptq(options: GptqOptions = {}): Method {
  return { id: 'gptq', transforms: [], solver: gptqSolver(options) };
}

/**
 * The solver alone, to follow transforms. `solve` throws `numeric` for NaN or Inf in the weight or the statistics; a layer whose Hessian
 * no damping makes positive definite is rounded to nearest, with a note.
 */
export function gptqSolver(options: GptqOptions = {}): Solver {
  const { order, clip, damping, target, targetDamping, tokenWeight, block } = resolveOptions(options);
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
      return { matrix: encodeMatrix(original, unbound), notes };
    }
    if (factor.damping > damping) notes.push(`damping raised from ${damping} to ${factor.damping} to make the Hessian positive definite`);

    const { upper } = factor;
    const fit = tileFitter(format, clip, { diagonal, sequence, upper });
    // A tile can be fitted when the sweep reaches it if it is one row of columns that the sweep takes together, and no other tile has a say in it.
    const onTheWay = order !== 'activation' && grid.tileRows === 1 && !grid.flat && !format.settle;
    const params = onTheWay ? fit : fitMatrix({ rows, cols, data: weight }, format, (tile, _row, column) => fit(tile, column));
    const swept = sweep({ weight, rows, cols, order: sequence, upper, format, params, block, algebra });
    return { matrix: { rows, cols, spec: format.spec, ...swept }, notes };
  }

  return { id: 'gptq', needs: target === 'float' ? [hessian, cross] : [hessian], solve };
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
