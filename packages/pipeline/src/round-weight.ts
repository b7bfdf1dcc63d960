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
  storedBits,
} from '@fewbit/formats';
import type { LayerReport } from './types.js';
import { storedBits as storedBitsOf, weightFormatName } from './weight-formats.js';

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

/** What the report says of a rounded matrix, inputs apart; `stored`: its codes, or the float type that holds it. */
export function reportOn(
  module: string,
  weight: Matrix,
  decoded: Matrix,
  stored: QuantizedMatrix | FloatDType,
  notes: readonly string[],
): LayerReport {
  const count = weight.rows * weight.cols;
  const isFloat = typeof stored === 'string';
  const bits = isFloat ? storedBitsOf(stored, weight.rows, weight.cols) : storedBits(stored);
  const outliers = isFloat ? undefined : stored.outliers;
  return {
    name: module,
    format: weightFormatName(isFloat ? stored : stored.spec),
    ...(outliers && { outliers: outliers.columns.length / count }),
    bitsPerWeight: bits / count,
    bytes: Math.ceil(bits / 8),
    weightError: weightError(weight, decoded),
    notes,
  };
}
