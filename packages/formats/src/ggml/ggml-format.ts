import type { GgmlSpec, NumericFormat } from '../types.js';
import { ggmlType } from './ggml-types.js';
import { simpleFormat } from './simple-format.js';
import { superFormat } from './super-format.js';

/**
 * A block type of ggml; a tile is a block. Decoding equals ggml's bit for bit. `fit` is what llama.cpp does where its rule is one formula
 * (then RTN gives equal bytes), else the search; `search` is at or below llama.cpp's own error. The spec is trusted: `createFormat` checks it.
 */
export function ggmlFormat(spec: GgmlSpec): NumericFormat {
  const type = ggmlType(spec.type);
  const numbers = type.kind === 'simple' ? simpleFormat(spec.type, type) : superFormat(type);
  const format = {
    spec,
    ...numbers,
    tile: () => ({ rows: 1, cols: type.block }),
    storedBits: (rows: number, cols: number) => rows * Math.ceil(cols / type.block) * type.bytes * 8,
  };
  return format as NumericFormat;
}
