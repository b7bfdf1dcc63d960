import type { Pausable } from '@fewbit/core';
import { type ActivationPrecision, type FormedTensor, type HostMemory, holdCodes, integersOf, type OrderedMatrix } from '@fewbit/kernels';
import { type Engine, originIds, type QuantizedShape, scaleTypeIds } from './addon.js';
import type { NativeArray } from './native-heap.js';
import type { PackWeights } from './pack-weights.js';
import { scalesOf } from './scales-of.js';
import { roomFor, type WeightForm } from './weight-form.js';

/** Whole numbers as native/packed-codes.h has them. */
export function* uploadCodes(
  engine: Engine,
  pack: PackWeights,
  memory: HostMemory<NativeArray>,
  matrix: OrderedMatrix,
  activations: ActivationPrecision,
): Pausable<FormedTensor> {
  const { rows, cols, codes } = matrix;
  const integers = yield* integersOf(matrix);
  const { bits, levels, group, tileRows, zeros } = integers;
  const { scaleType, scales, bases, steps, divisor } = yield* scalesOf(integers);
  const ownZeros = typeof zeros === 'number' ? undefined : zeros;
  const origin = bases ? 'bases' : ownZeros ? 'zeros' : 'zero';
  const shape: QuantizedShape = [
    ...([rows, cols, group, bits, levels !== undefined, scaleTypeIds[scaleType], steps?.inputs ?? 0] as const),
    ...([originIds[origin], typeof zeros === 'number' ? zeros : 0, activations === 'int8' ? 8 : 16] as const),
  ];
  const room = roomFor(memory, matrix);
  const tensor = holdCodes(room, matrix, engine.packedBytes(...shape), { kind: 'codes', shape } satisfies WeightForm);
  const sources = [codes, scales, ownZeros, bases, steps?.values, levels && sixteen(levels)];
  pack('packCodes', sources, [tensor.data.address, divisor, tileRows], shape);
  return tensor;
}

function sixteen(levels: Uint8Array): Uint8Array {
  const table = new Uint8Array(16);
  table.set(levels);
  return table;
}
