import { FewbitError, type Matrix } from '@fewbit/core';
import { type IntParams, type IntSpec, intFormat, type QuantizedMatrix, tileGrid } from '@fewbit/formats';
import type { FormedTensor, HostMemory, WeightForms } from '@fewbit/kernels';
import { type Engine, type LevelsShape, type QuantizedShape, scaleTypeIds } from './addon.js';
import { rejectsLevels, uploadLevels } from './levels-form.js';
import type { NativeArray } from './native-heap.js';

/** How a weight lies in native memory, where not as float32. */
export type WeightForm =
  | { readonly kind: 'bf16' }
  | { readonly kind: 'codes'; readonly shape: QuantizedShape }
  | { readonly kind: 'levels'; readonly shape: LevelsShape };

/** Integer codes as native/packed-codes.h has them, codes of other levels as native/levels.h, and floats as bf16 where that loses nothing. */
export function weightForms(engine: Engine, memory: HostMemory<NativeArray>): WeightForms {
  return {
    activations: 'rounded to 16 bits per 128 inputs or group before integer codes',
    rejects: rejection,
    upload(weight) {
      if (!('codes' in weight)) return uploadFloats(engine, memory, weight);
      const reason = rejection(weight);
      if (reason !== undefined) throw new FewbitError('usage', `${reason}; decode the matrix and upload it.`);
      return weight.spec.kind === 'int' ? uploadIntegers(engine, memory, weight) : uploadLevels(engine, memory, weight);
    },
  };
}

function rejection(matrix: QuantizedMatrix): string | undefined {
  if (matrix.columnGroup) return 'columns in groups out of order have no native kernel';
  return matrix.spec.kind === 'int' && matrix.spec.granularity.kind !== 'flat' ? undefined : rejectsLevels(matrix);
}

function uploadIntegers(engine: Engine, memory: HostMemory<NativeArray>, matrix: QuantizedMatrix): FormedTensor {
  const { rows, cols, codes } = matrix;
  const spec = matrix.spec as IntSpec;
  const params = matrix.params as readonly IntParams[];
  const { tileRows, tileCols } = tileGrid(intFormat(spec), rows, cols);
  const first = params[0]?.zero ?? 0;
  const ownZeros = params.some(({ zero }) => zero !== first);
  const slot = spec.bits <= 2 ? 2 : spec.bits <= 4 ? 4 : 8;
  const shape: QuantizedShape = [rows, cols, Math.min(tileCols, cols), slot, scaleTypeIds[spec.scaleType], ownZeros, ownZeros ? 0 : first];
  const tensor = memory.hold([rows, cols], engine.packedBytes(...shape), { kind: 'codes', shape } satisfies WeightForm);
  const scales = Float32Array.from(params, ({ scale }) => scale);
  const zeros = Uint8Array.from(params, ({ zero }) => zero);
  engine.packCodes(codes, scales, zeros, tileRows, tensor.data, ...shape);
  return tensor;
}

function uploadFloats(engine: Engine, memory: HostMemory<NativeArray>, { rows, cols, data }: Matrix) {
  const tensor = memory.hold([rows, cols], 2 * data.length, { kind: 'bf16' } satisfies WeightForm);
  if (engine.shorten(data, tensor.data, data.length)) return tensor;
  memory.free(tensor);
  return memory.upload(data, [rows, cols]);
}
