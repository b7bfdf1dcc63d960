import { weightError } from '@fewbit/algorithm';
import { type FloatDType, fromFloat32, type Matrix, matrix, type Tensor, toFloat32, transpose } from '@fewbit/core';
import {
  createFormat,
  encodeMatrix,
  type FormatSpec,
  fitMatrix,
  fitSearched,
  type Importance,
  importanceAt,
  type QuantizedMatrix,
} from '@fewbit/formats';
import type { LayerReport, WeightFormat } from './types.js';
import { storedBits, weightFormatName } from './weight-formats.js';

/** A matrix rounded by the format's own search, without statistics of a model's inputs: embeddings and heads. */
export function roundNearest(weight: Matrix, spec: FormatSpec, importance: Importance | undefined): QuantizedMatrix {
  const format = createFormat(spec);
  const bound = format.bind?.(weight) ?? format;
  const params = fitMatrix(weight, bound, (tile, _row, col) =>
    fitSearched(bound, tile, importance ? { importance: importanceAt(importance, col, tile.cols) } : {}),
  );
  return encodeMatrix(weight, bound, { params });
}

/** A matrix stored as `dtype`, and what reads back from it. `transposed`: the file has [in, out]. */
export function storeFloat(weight: Matrix, dtype: FloatDType, transposed = false): { readonly tensor: Tensor; readonly decoded: Matrix } {
  const turned = transposed ? transpose(weight) : weight;
  const tensor = fromFloat32(turned.data, dtype, [turned.rows, turned.cols]);
  const back = matrix(turned.rows, turned.cols, toFloat32(tensor));
  return { tensor, decoded: transposed ? transpose(back) : back };
}

/** What the report says of a rounded matrix, inputs apart. */
export function reportOn(module: string, weight: Matrix, decoded: Matrix, stored: WeightFormat, notes: readonly string[]): LayerReport {
  const { rows, cols } = weight;
  const bits = storedBits(stored, rows, cols);
  return {
    name: module,
    format: weightFormatName(stored),
    bitsPerWeight: bits / (rows * cols),
    bytes: Math.ceil(bits / 8),
    weightError: weightError(weight, decoded),
    notes,
  };
}
