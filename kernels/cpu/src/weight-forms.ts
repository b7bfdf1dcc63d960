import { FewbitError } from '@fewbit/core';
import { type IntParams, type IntSpec, intColumns, intFormat, type ParamList, type QuantizedMatrix, tileGrid } from '@fewbit/formats';
import {
  type ActivationPrecision,
  type FormedTensor,
  type HostMemory,
  holdCodes,
  type OutlierPlaces,
  type WeightForms,
} from '@fewbit/kernels';
import { type Engine, type LevelsShape, type QuantizedShape, scaleTypeIds } from './addon.js';
import type { CommandQueue } from './command-queue.js';
import { uploadFloats, uploadStored } from './float-forms.js';
import { rejectsLevels, uploadLevels } from './levels-form.js';
import type { NativeFiles } from './native-files.js';
import type { NativeArray } from './native-heap.js';
import { type PackWeights, packWeights } from './pack-weights.js';

/** How a weight lies in native memory, where not as float32. */
export type WeightForm = FloatForm | CodedForm;

export type CodedForm = (
  | { readonly kind: 'codes'; readonly shape: QuantizedShape }
  | { readonly kind: 'levels'; readonly shape: LevelsShape }
) & {
  /** Where the matrix has any. */
  readonly outliers?: OutlierPlaces;
};

/** Floats, row-major. */
export interface FloatForm {
  readonly kind: 'bf16' | 'f32';
  /** The pages of a file that they lie in, where they do. */
  readonly map?: { readonly address: number; readonly bytes: number };
}

/** Integer codes as native/packed-codes.h has them, codes of other levels as native/levels.h, outliers behind either, and floats as bf16 where that loses nothing. */
export function weightForms(engine: Engine, queue: CommandQueue, memory: HostMemory<NativeArray>, files: NativeFiles): WeightForms {
  const pack = packWeights(queue, files.addressOf);
  return {
    activations: {
      int16: 'rounded to 16 bits per group, or per 128 inputs of a longer one',
      int8: 'rounded to 8 bits per group, or per 128 inputs of a longer one',
    },
    rounds,
    rejects: rejection,
    uploadStored: (weight, { inPlace = false } = {}) => uploadStored(engine, memory, files, weight, inPlace),
    *upload(weight, { activations = 'int16' } = {}) {
      if (!('codes' in weight)) return yield* uploadFloats(engine, memory, weight);
      const reason = rejection(weight);
      if (reason !== undefined) throw new FewbitError('usage', `${reason}; decode the matrix and upload it.`);
      if (rounds(weight)) return uploadIntegers(engine, pack, memory, weight, activations);
      return yield* uploadLevels(engine, pack, memory, weight);
    },
  };
}

function rejection(matrix: QuantizedMatrix): string | undefined {
  if (matrix.columnGroup) return 'columns in groups out of order have no native kernel';
  return rounds(matrix) ? undefined : rejectsLevels(matrix);
}

/** Integers are multiplied as such, other levels as float32. */
function rounds({ spec }: QuantizedMatrix): boolean {
  return spec.kind === 'int' && spec.granularity.kind !== 'flat';
}

/** Memory for a weight: it is waited for where outliers are written at once. */
export function roomFor(
  { hold, holdEmpty }: HostMemory<NativeArray>,
  { outliers }: QuantizedMatrix,
): Pick<HostMemory<NativeArray>, 'hold'> {
  return { hold: outliers ? hold : holdEmpty };
}

function uploadIntegers(
  engine: Engine,
  pack: PackWeights,
  memory: HostMemory<NativeArray>,
  matrix: QuantizedMatrix,
  activations: ActivationPrecision,
): FormedTensor {
  const { rows, cols, codes } = matrix;
  const spec = matrix.spec as IntSpec;
  const { tileRows, tileCols } = tileGrid(intFormat(spec), rows, cols);
  const { scales, zeros } = intColumns(matrix.params as ParamList<IntParams>);
  const sharedZero = typeof zeros === 'number' ? zeros : undefined;
  const shape: QuantizedShape = [
    ...([rows, cols, Math.min(tileCols, cols), spec.bits, scaleTypeIds[spec.scaleType]] as const),
    ...([sharedZero === undefined, sharedZero ?? 0, activations === 'int8' ? 8 : 16] as const),
  ];
  const room = roomFor(memory, matrix);
  const tensor = holdCodes(room, matrix, engine.packedBytes(...shape), { kind: 'codes', shape } satisfies WeightForm);
  pack('packCodes', [codes, scales, typeof zeros === 'number' ? undefined : zeros], [tensor.data.address, tileRows], shape);
  return tensor;
}
