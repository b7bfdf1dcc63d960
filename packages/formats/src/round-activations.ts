import { FewbitError, firstNonFinite, type Matrix, matrix, roundTo } from '@fewbit/core';
import { createFormat } from './create-format.js';
import { decodeMatrix } from './decode-matrix.js';
import { encodeMatrix } from './encode-matrix.js';
import { tileGrid } from './tile-grid.js';
import type { ActivationRounding, ActivationSpec, NumericFormat } from './types.js';

/**
 * What a linear layer sees of its input x [tokens, inputs] when its activations are rounded so. Multiplying that by the decoded weight
 * is what an engine's integer or FP8 product gives, but for the order of its sums. With an outlier threshold the features that reach it
 * anywhere stay as they are (LLM.int8(), Dettmers et al. 2022, section 3.2), and values that reach it take no part in scales; what else such a
 * feature holds does, as in bitsandbytes.
 * A token with NaN or Inf becomes NaN as a whole, which no code could say.
 */
export function roundActivations(x: Matrix, { spec, params }: ActivationRounding): Matrix {
  if (spec.perHead) return roundHeads(x, spec, params as readonly unknown[]);
  const { cols } = x;
  const damaged = damagedTokens(x);
  const inliers = damaged.length === 0 ? x : matrix(x.rows, cols, x.data.slice());
  for (const token of damaged) inliers.data.fill(0, token * cols, (token + 1) * cols);
  const reached = outlierTest(spec);
  const outliers = reached ? outlierFeatures(x, reached) : [];
  const rest =
    outliers.length === 0
      ? inliers
      : matrix(
          x.rows,
          cols,
          inliers.data.map((value) => (reached!(value) ? 0 : value)),
        );
  const format = createFormat(spec.format);
  const rounded = spec.scaling === 'local' ? roundMatrix(rest, format.bindLike!(params), undefined) : roundMatrix(rest, format, params);
  for (const feature of outliers) {
    for (let i = feature; i < x.data.length; i += cols) rounded.data[i] = x.data[i]!;
  }
  for (const token of damaged) rounded.data.fill(Number.NaN, token * cols, (token + 1) * cols);
  return rounded;
}

/** Each head of x [tokens, heads·size] by its own params. */
function roundHeads({ rows, cols, data }: Matrix, { perHead: _, ...spec }: ActivationSpec, params: readonly unknown[]): Matrix {
  const size = cols / params.length;
  if (!Number.isInteger(size)) throw new FewbitError('usage', `${cols} features are not made of ${params.length} heads.`);
  const out = matrix(rows, cols);
  for (const [head, own] of params.entries()) {
    const part = matrix(rows, size);
    for (let row = 0; row < rows; row++) part.data.set(data.subarray(row * cols + head * size, row * cols + (head + 1) * size), row * size);
    const rounded = roundActivations(part, { spec, params: own }).data;
    for (let row = 0; row < rows; row++) out.data.set(rounded.subarray(row * size, (row + 1) * size), row * cols + head * size);
  }
  return out;
}

/** decode(encode(x)), with `params` for all of it or those of each tile. */
function roundMatrix(x: Matrix, format: NumericFormat, params: unknown): Matrix {
  const { flat, tileRows, tileCols, count } = tileGrid(format, x.rows, x.cols);
  const { round } = format;
  if (!round || flat || (tileRows > 1 && count > 1)) {
    return decodeMatrix(encodeMatrix(x, format, params === undefined ? {} : { params: [params] }));
  }
  const out = matrix(x.rows, x.cols);
  const { length } = x.data;
  const perRow = count === 1 ? length : x.cols;
  for (let row = 0; row < length; row += perRow) {
    for (let start = row; start < row + perRow; start += tileCols) {
      const end = count === 1 ? length : Math.min(start + tileCols, row + perRow);
      const fitted = params ?? format.fit({ rows: 1, cols: end - start, data: x.data.subarray(start, end) });
      round(x.data, out.data, start, end, fitted);
      if (count === 1) return out;
    }
  }
  return out;
}

function damagedTokens({ rows, cols, data }: Matrix): number[] {
  if (firstNonFinite(data) < 0) return [];
  const tokens = Array.from({ length: rows }, (_, token) => token);
  return tokens.filter((token) => firstNonFinite(data.subarray(token * cols, (token + 1) * cols)) >= 0);
}

/** Whether a value reaches the threshold, where there is one: as the format sees it, LLM.int8()'s values are halves. */
function outlierTest({ format, outlierThreshold }: ActivationSpec): ((value: number) => boolean) | undefined {
  if (outlierThreshold === undefined) return undefined;
  const halves = format.kind === 'int' && format.scheme === 'symmetric-absmax';
  return (value) => Math.abs(halves ? roundTo('F16', value) : value) >= outlierThreshold;
}

function outlierFeatures({ cols, data }: Matrix, reached: (value: number) => boolean): number[] {
  const found = new Uint8Array(cols);
  for (let row = 0; row < data.length; row += cols) {
    for (let j = 0; j < cols; j++) if (reached(data[row + j]!)) found[j] = 1;
  }
  return [...found.keys()].filter((j) => found[j] === 1);
}
