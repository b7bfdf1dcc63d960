import { roundTo } from '@fewbit/core';
import { type NumericFormat, type SparseMatrix, sparseMatrix, type Tile, tileGrid } from '@fewbit/formats';
import type { Algebra } from '@fewbit/kernels';

export interface SweepInput<P> {
  /** The target, [rows, cols] row-major; kept. */
  readonly weight: Float64Array;
  readonly rows: number;
  readonly cols: number;
  /** order[k] = the column rounded k-th. */
  readonly order: Uint32Array;
  /** U [cols, cols], upper triangular, H⁻¹ = Uᵀ·U, rows and columns in sweep order. */
  readonly upper: Float64Array;
  readonly format: NumericFormat<P>;
  /**
   * Parameters of every tile, row-major by tile; or, where tiles are not flat, how to fit a tile of one row, from `column` on, when the sweep reaches
   * its first column, without the outliers at `left`.
   */
  readonly params: readonly P[] | ((tile: Tile, column: number, left: readonly number[]) => P);
  /** Places, row-major and rising, of weights that are not rounded to codes but kept, as they are when the sweep reaches them, as `type`. */
  readonly outliers?: { readonly places: Uint32Array; readonly type: SparseMatrix['type'] };
  /** Columns whose error is handed on at once; later columns get it block by block. */
  readonly block: number;
  readonly algebra: Pick<Algebra, 'subtractProduct'>;
}

/** Columns whose error is handed on one by one, here; the rest of the block gets it as a product. */
const step = 16;

/**
 * Rounds a matrix column by column, each time moving the columns that are left to make up for the error in the output.
 * GPTQ (Frantar et al. 2022), algorithm 1: e = (w − q)/U[k,k]; w[j] −= e·U[k,j] for j > k. Errors are handed on at three distances: to
 * the columns of a step one by one, row by row since rows are independent; to the rest of the block step by step; to all later columns block by block.
 */
export function sweep<P>(input: SweepInput<P>): { codes: Uint8Array; params: P[]; outliers?: SparseMatrix } {
  const { rows, cols, upper, format, params: policy, outliers, block, algebra } = input;
  const { tileCols, count } = tileGrid(format, rows, cols);
  const params: P[] = typeof policy === 'function' ? new Array<P>(count) : [...policy];
  const codes = new Uint8Array(rows * cols);
  const weight = gatherColumns(input); // in sweep order
  const kept = new Map<number, number>();
  if (outliers) for (const place of outliers.places) kept.set(place, 0);

  for (const [start, end] of spans(input, tileCols, 0, cols, block)) {
    const width = end - start;
    const panel: Panel = {
      start,
      width,
      values: cut(weight, cols, 0, rows, start, end),
      factor: cut(upper, cols, start, end, start, end),
      errors: new Float64Array(rows * width),
    };
    for (const [from, to] of spans(input, tileCols, start, end, Math.min(step, block))) {
      roundStep(input, panel, from - start, to - start, { weight, codes, params, kept });
      if (to === end) continue;
      const errors = cut(panel.errors, width, 0, rows, from - start, to - start);
      const shape = { rows, k: to - from, n: width, bRow: from - start, cStart: to - start };
      algebra.subtractProduct(panel.values, errors, panel.factor, shape);
    }
    if (end < cols) algebra.subtractProduct(weight, panel.errors, upper, { rows, k: width, n: cols, bRow: start, cStart: end });
  }
  if (!outliers || kept.size === 0) return { codes, params };
  return { codes, params, outliers: sparseMatrix(rows, cols, outliers.places, [...kept.values()], outliers.type) };
}

/** A block of columns side by side, in sweep order. */
interface Panel {
  readonly start: number;
  readonly width: number;
  /** Weights [rows, width], moved by the errors of all columns before. */
  readonly values: Float64Array;
  /** U [width, width] */
  readonly factor: Float64Array;
  /** e [rows, width] */
  readonly errors: Float64Array;
}

/** Rounds the panel's columns from … to − 1; `weight` has the columns after the panel. */
function roundStep<P>(
  { rows, cols, order, format, params: policy, outliers }: SweepInput<P>,
  { start, width, values, factor, errors }: Panel,
  from: number,
  to: number,
  { weight, codes, params, kept }: { weight: Float64Array; codes: Uint8Array; params: P[]; kept: Map<number, number> },
): void {
  const { flat, tileRows, tileCols, across } = tileGrid(format, rows, cols);
  const fit = typeof policy === 'function' ? policy : undefined;
  const tileValues = new Float64Array(tileCols);
  for (let row = 0; row < rows; row++) {
    const base = row * width;
    // flat tiles lie on one long row
    const firstTile = flat ? 0 : Math.floor(row / tileRows) * across;
    const rowOfTile = flat ? 0 : row % tileRows;
    const origin = flat ? row * cols : 0;
    for (let k = from; k < to; k++) {
      const column = order[start + k]!;
      const at = origin + column;
      const group = Math.floor(at / tileCols);
      const groupStart = group * tileCols;
      const groupWidth = Math.min(tileCols, cols - groupStart);
      if (fit && params[firstTile + group] === undefined) {
        for (let i = 0; i < groupWidth; i++) {
          const value = k + i < width ? values[base + k + i]! : weight[row * cols + start + k + i]!;
          tileValues[order[start + k + i]! - groupStart] = value;
        }
        const left = outliers ? Array.from({ length: groupWidth }, (_, i) => i).filter((i) => kept.has(row * cols + groupStart + i)) : [];
        params[firstTile + group] = fit({ rows: 1, cols: groupWidth, data: tileValues.subarray(0, groupWidth) }, groupStart, left);
      }
      const shared = params[firstTile + group]!;
      const offset = rowOfTile * groupWidth + at - groupStart;
      const value = values[base + k]!;
      const place = row * cols + column;
      const isKept = outliers !== undefined && kept.has(place);
      const code = format.encode(isKept ? 0 : value, shared, offset);
      codes[place] = code;
      const rounded = isKept ? roundTo(outliers.type, value) : format.decode(code, shared, offset);
      if (isKept) kept.set(place, rounded);
      const factorRow = k * width;
      const error = (value - rounded) / factor[factorRow + k]!;
      errors[base + k] = error;
      for (let j = k + 1; j < to; j++) values[base + j]! -= error * factor[factorRow + j]!;
    }
  }
}

/** Rows [top, bottom) of columns [from, to) of a matrix `cols` wide. */
function cut(of: Float64Array, cols: number, top: number, bottom: number, from: number, to: number): Float64Array {
  const width = to - from;
  const part = new Float64Array((bottom - top) * width);
  for (let row = top; row < bottom; row++) {
    const [at, source] = [(row - top) * width, row * cols + from];
    for (let j = 0; j < width; j++) part[at + j] = of[source + j]!;
  }
  return part;
}

function gatherColumns({ weight, cols, order }: SweepInput<unknown>): Float64Array {
  const gathered = new Float64Array(weight.length);
  for (let base = 0; base < weight.length; base += cols) {
    for (let k = 0; k < cols; k++) gathered[base + k] = weight[base + order[k]!]!;
  }
  return gathered;
}

/**
 * Spans of sweep positions of at most `longest` that make up [first, last). Where tiles are fitted on the way, no tile starts inside a span that ends
 * before it does: everything that its fit reads is then up to date.
 */
function spans({ order, params }: SweepInput<unknown>, tileCols: number, first: number, last: number, longest: number): [number, number][] {
  const found: [number, number][] = [];
  let start = first;
  const cutAt = (end: number) => {
    for (; end - start > longest; start += longest) found.push([start, start + longest]);
  };
  if (typeof params === 'function') {
    const groupAt = (k: number) => Math.floor(order[k]! / tileCols);
    for (let at = first; at < last; ) {
      let end = at + 1;
      while (end < last && groupAt(end) === groupAt(at)) end++;
      if (end - start > longest && at > start) {
        found.push([start, at]);
        start = at;
      }
      cutAt(end);
      at = end;
    }
  }
  cutAt(last);
  found.push([start, last]);
  return found;
}
