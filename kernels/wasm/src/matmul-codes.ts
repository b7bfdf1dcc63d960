import type { HostTensor } from '@fewbit/kernels';
import * as id from './control.js';
import type { Engine } from './engine.js';
import { fewRows, tasksPerThread } from './few-rows.js';
import type { PackedCodes } from './weight-form.js';

/** out = x·wᵀ + bias for w in codes: x is rounded first, in tiles of the rows that go together. */
export function matmulCodes(
  engine: Engine,
  { chunks, length }: PackedCodes,
  x: HostTensor,
  w: HostTensor,
  bias: HostTensor | undefined,
  out: HostTensor,
): void {
  const { heap, threads } = engine;
  const [m, n] = out.shape as [number, number];
  const tileTokens = m <= fewRows ? 1 : id.tileTokens;
  const tiles = Math.ceil(m / tileTokens);
  const count = tiles * tileTokens * chunks;
  const [at, from, to, add] = [w.data.byteOffset, x.data.byteOffset, out.data.byteOffset, bias ? bias.data.byteOffset : 0];
  const values = heap.allocate(count * (2 * length + 8));
  const scales = values + count * 2 * length;
  const shifts = scales + count * 4;
  engine.run(id.quantizeTile, tiles, [at, from, values, scales, shifts, m, tileTokens], { scratch: 2 * length });
  const blocks = Math.ceil(n / id.blockRows);
  if (m <= fewRows) {
    const share = Math.ceil(blocks / (tasksPerThread * threads));
    engine.run(id.multiplyCodesRows, Math.ceil(blocks / share), [at, values, scales, shifts, to, add, m, share], {
      scratch: 4 * id.blockRows,
    });
  } else {
    const slab = Math.max(1, Math.floor(id.slabInputs / length));
    // In the order of the kernel: results; weights; scales and zero points of chunks, or of pieces.
    const pieces = Math.ceil(length / id.pieceInputs);
    const scratch = id.taskBlocks * id.blockRows * (4 * id.tileTokens * id.taskTiles + slab * (2 * length + 8 * pieces));
    const tasks = Math.ceil(blocks / id.taskBlocks) * Math.ceil(tiles / id.taskTiles);
    engine.run(id.multiplyCodes, tasks, [at, values, scales, shifts, to, add, m], { scratch });
  }
  heap.free(values);
}
