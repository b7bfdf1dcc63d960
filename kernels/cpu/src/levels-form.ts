import type { Pausable } from '@fewbit/core';
import { type FormedTensor, type HostMemory, holdCodes, levelsOf, type OrderedMatrix, shortestType } from '@fewbit/kernels';
import { codingIds, type Engine, type LevelsShape, scaleTypeIds } from './addon.js';
import type { NativeArray } from './native-heap.js';
import type { PackWeights } from './pack-weights.js';
import { shortScales } from './short-scales.js';
import { roomFor, type WeightForm } from './weight-form.js';

/** Codes that index levels, which may be shared but for scale and base or each tile's own. */
export function* uploadLevels(
  engine: Engine,
  pack: PackWeights,
  memory: HostMemory<NativeArray>,
  matrix: OrderedMatrix,
): Pausable<FormedTensor> {
  const { rows, cols, codes } = matrix;
  const { coding, span, tables, ...rest } = yield* levelsOf(matrix, (levels) => (levels <= 16 ? 16 : 256));
  const { scales } = rest;
  const held = scales && (yield* shortScales({ scales, scaleType: yield* shortestType(scales), divisor: undefined }));
  const bits = coding === 'nibbles' ? 4 : 8;
  const shape: LevelsShape = [...([rows, cols, span, bits, codingIds[coding], scaleTypeIds[held?.scaleType ?? 'F32']] as const), !held];
  const tensor = holdCodes(roomFor(memory, matrix), matrix, engine.levelsBytes(...shape), { kind: 'levels', shape } satisfies WeightForm);
  pack('packLevels', [codes, held?.scales, tables], [tensor.data.address], shape);
  return tensor;
}
