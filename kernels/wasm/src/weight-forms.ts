import { FewbitError, type Matrix } from '@fewbit/core';
import { createFormat, formatName, type QuantizedMatrix } from '@fewbit/formats';
import type { HostMemory, OutlierPlaces, WeightForms } from '@fewbit/kernels';
import { uploadCodes } from './codes-form.js';
import * as id from './control.js';
import type { Engine } from './engine.js';
import { isWhole } from './integers-of.js';
import { uploadLevels } from './levels-form.js';

/** How a weight lies in memory, where not as float32. */
export type WeightForm =
  | { readonly kind: 'bf16' }
  | ({ readonly kind: 'codes' } & PackedCodes & Outliers)
  | ({ readonly kind: 'levels' } & Outliers);

/** What the header of packed codes says (assembly/packed-codes.ts), as far as JavaScript needs it. */
export interface PackedCodes {
  /** Chunks per row, and inputs per chunk with its padding. */
  readonly chunks: number;
  readonly length: number;
}

interface Outliers {
  /** Where the matrix has any. */
  readonly outliers?: OutlierPlaces;
}

/** Codes of whole numbers as assembly/packed-codes.ts has them, of other levels as assembly/packed-levels.ts, and floats as bf16 where that loses nothing. */
export function weightForms(engine: Engine, memory: HostMemory): WeightForms {
  const rounded = (bits: number) => `rounded to ${bits} bits per group, or per ${id.longestChunk} inputs of a longer one`;
  return {
    activations: { int16: rounded(16), int8: rounded(8) },
    rounds,
    rejects: rejection,
    upload(weight, { activations = 'int16' } = {}) {
      if (!('codes' in weight)) return uploadFloats(memory, weight);
      const reason = rejection(weight);
      if (reason !== undefined) throw new FewbitError('usage', `${reason}; decode the matrix and upload it.`);
      return rounds(weight) ? uploadCodes(engine, memory, weight, activations) : uploadLevels(memory, weight);
    },
  };
}

function rejection({ spec, rows, cols, columnGroup }: QuantizedMatrix): string | undefined {
  if (columnGroup) return 'columns in groups out of order have no WebAssembly kernel';
  const format = createFormat(spec);
  if (format.tile(rows, cols).flat) return 'runs of elements across rows have no WebAssembly kernel';
  if (format.affine?.bases && !isWhole(format))
    return `${formatName(spec)}, levels with bases that are no whole numbers, has no WebAssembly kernel`;
  return undefined;
}

/** Whole numbers are multiplied as such, other levels as float32. */
function rounds({ spec }: QuantizedMatrix): boolean {
  return isWhole(createFormat(spec));
}

function uploadFloats(memory: HostMemory, { rows, cols, data }: Matrix) {
  const words = new Uint32Array(data.buffer, data.byteOffset, data.length);
  if (words.some((word) => (word & 0xffff) !== 0)) return memory.upload(data, [rows, cols]);
  const tensor = memory.hold([rows, cols], 2 * data.length, { kind: 'bf16' } satisfies WeightForm);
  const short = new Uint16Array(tensor.data.buffer, tensor.data.byteOffset, data.length);
  for (let i = 0; i < words.length; i++) short[i] = words[i]! >>> 16;
  return tensor;
}
