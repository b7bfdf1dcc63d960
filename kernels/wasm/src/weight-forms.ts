import { FewbitError, type Matrix, type Pausable } from '@fewbit/core';
import { createFormat, formatName, type QuantizedMatrix } from '@fewbit/formats';
import {
  type DeviceTensor,
  type HostMemory,
  inGroupOrder,
  isWhole,
  rejectsColumnGroups,
  uploadShortened,
  type WeightForms,
} from '@fewbit/kernels';
import { uploadCodes } from './codes-form.js';
import * as id from './control.js';
import type { Engine } from './engine.js';
import { uploadLevels } from './levels-form.js';

/** Codes of whole numbers as assembly/packed-codes.ts has them, of other levels as assembly/packed-levels.ts, and floats as bf16 where that loses nothing. */
export function weightForms(engine: Engine, memory: HostMemory): WeightForms {
  const rounded = (bits: number) => `rounded to ${bits} bits per group, or per ${id.longestChunk} inputs of a longer one`;
  return {
    activations: { int16: rounded(16), int8: rounded(8) },
    rounds,
    rejects: rejection,
    *upload(weight, { activations = 'int16' } = {}) {
      if (!('codes' in weight)) return yield* uploadFloats(memory, weight);
      const reason = rejection(weight);
      if (reason !== undefined) throw new FewbitError('usage', `${reason}; decode the matrix and upload it.`);
      const matrix = yield* inGroupOrder(weight);
      return yield* rounds(weight) ? uploadCodes(engine, memory, matrix, activations) : uploadLevels(memory, matrix);
    },
  };
}

function rejection(matrix: QuantizedMatrix): string | undefined {
  const { spec, rows, cols } = matrix;
  const format = createFormat(spec);
  if (format.tile(rows, cols).flat) return 'runs of elements across rows have no WebAssembly kernel';
  if (format.affine?.bases && !isWhole(format))
    return `${formatName(spec)}, levels with bases that are no whole numbers, has no WebAssembly kernel`;
  return rejectsColumnGroups(matrix);
}

/** Whole numbers are multiplied as such, other levels as float32. */
function rounds({ spec }: QuantizedMatrix): boolean {
  return isWhole(createFormat(spec));
}

function uploadFloats(memory: HostMemory, weight: Matrix): Pausable<DeviceTensor> {
  const { buffer, byteOffset, length } = weight.data;
  const words = new Uint32Array(buffer, byteOffset, length);
  return uploadShortened(memory, weight, ({ data }, start, end) => {
    const short = new Uint16Array(data.buffer, data.byteOffset, length);
    for (let i = start; i < end; i++) {
      if ((words[i]! & 0xffff) !== 0) return false;
      short[i] = words[i]! >>> 16;
    }
    return true;
  });
}
