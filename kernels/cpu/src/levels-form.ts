import type { Pausable } from '@fewbit/core';
import { createFormat, type QuantizedMatrix, tileGrid } from '@fewbit/formats';
import { type FormedTensor, type HostMemory, holdCodes, levelsOf, spanOf } from '@fewbit/kernels';
import { codingIds, type Engine, type LevelsShape } from './addon.js';
import type { NativeArray } from './native-heap.js';
import type { PackWeights } from './pack-weights.js';
import { roomFor, type WeightForm } from './weight-forms.js';

/** Why a matrix cannot lie as native/levels.h has it, or undefined. */
export function rejectsLevels({ spec, rows, cols }: QuantizedMatrix): string | undefined {
  const format = createFormat(spec);
  const grid = tileGrid(format, rows, cols);
  if (grid.flat) return 'runs of elements across rows have no native kernel';
  const span = spanOf(format, grid.tileCols, cols);
  if (span < cols && span % 2 !== 0) return `an odd number of inputs per scale (${span}) has no native kernel`;
  return undefined;
}

/** Codes that index levels, which may be shared but for scale and base or each tile's own. */
export function* uploadLevels(
  engine: Engine,
  pack: PackWeights,
  memory: HostMemory<NativeArray>,
  matrix: QuantizedMatrix,
): Pausable<FormedTensor> {
  const { rows, cols, codes } = matrix;
  const { coding, span, tables, scales, bases } = yield* levelsOf(matrix, (levels) => (levels <= 16 ? 16 : 256));
  const bits = coding === 'nibbles' ? 4 : 8;
  const shape: LevelsShape = [rows, cols, span, bits, codingIds[coding], scales === undefined, bases !== undefined];
  const tensor = holdCodes(roomFor(memory, matrix), matrix, engine.levelsBytes(...shape), { kind: 'levels', shape } satisfies WeightForm);
  pack('packLevels', [codes, scales, bases, tables], [tensor.data.address], shape);
  return tensor;
}
