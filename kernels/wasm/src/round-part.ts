import { type HostTensor, type RoundingPart, roundingNumbers } from '@fewbit/kernels';
import * as id from './control.js';
import type { Engine } from './engine.js';

/** Columns of x [m, k], rounded into the same places of `out`. */
export function roundPart({ run, heap }: Engine, x: HostTensor, out: HostTensor, { first, count, shape }: RoundingPart): void {
  const [m, k] = [x.shape[0]!, x.shape[1]!];
  const { group, rows, outlierThreshold } = shape;
  const numbers = roundingNumbers(shape);
  const [from, to] = [x, out].map(({ data }) => data.byteOffset + first * 4) as [number, number];
  const mask = outlierThreshold === 0 ? 0 : heap.allocate(count * 4 + 16);
  if (mask !== 0) run(id.outlierMask, Math.ceil(count / id.maskColumns), [from, mask, m, count, k, 0, ...numbers]);
  const share = Math.max(1, Math.floor(id.taskValues / count));
  const tiles = rows === 0 ? Math.ceil((m * count) / group) : Math.ceil(m / rows) * Math.ceil(count / group);
  const [kernel, tasks] = rows === 1 ? [id.roundActivations, Math.ceil(m / share)] : [id.roundTile, tiles];
  run(kernel, tasks, [from, to, m, count, 0, mask, ...numbers, k, share]);
  if (mask !== 0) heap.free(mask);
}
