import { FewbitError } from '@fewbit/core';
import { createFormat, formatName, type QuantizedMatrix } from '@fewbit/formats';
import { type HostMemory, inGroupOrder, isWhole, rejectsColumnGroups, type WeightForms } from '@fewbit/kernels';
import type { Engine } from './addon.js';
import { uploadCodes } from './codes-form.js';
import type { CommandQueue } from './command-queue.js';
import { uploadFloats, uploadStored } from './float-forms.js';
import { uploadLevels } from './levels-form.js';
import type { NativeFiles } from './native-files.js';
import type { NativeArray } from './native-heap.js';
import { packWeights } from './pack-weights.js';

/** Codes of whole numbers as native/packed-codes.h has them, of other levels as native/levels.h, outliers and the order of columns behind either, and floats as bf16 where that loses nothing. */
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
      const matrix = yield* inGroupOrder(weight);
      return yield* rounds(weight) ? uploadCodes(engine, pack, memory, matrix, activations) : uploadLevels(engine, pack, memory, matrix);
    },
  };
}

function rejection(matrix: QuantizedMatrix): string | undefined {
  const { spec, rows, cols } = matrix;
  const format = createFormat(spec);
  if (format.tile(rows, cols).flat) return 'runs of elements across rows have no native kernel';
  if (format.affine?.bases && !isWhole(format))
    return `${formatName(spec)}, levels with bases that are no whole numbers, has no native kernel`;
  return rejectsColumnGroups(matrix);
}

/** Whole numbers are multiplied as such, other levels as float32. */
function rounds({ spec }: QuantizedMatrix): boolean {
  return isWhole(createFormat(spec));
}
