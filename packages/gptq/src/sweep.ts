import { type NumericFormat, type Tile, tileGrid } from '@fewbit/formats';
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
  /** Parameters of every tile, row-major by tile; or, where tiles are not flat, how to fit a tile of one row, from `column` on, when the sweep reaches its first column. */
  readonly params: readonly P[] | ((tile: Tile, column: number) => P);
  /** Columns whose error is handed on at once; later columns get it block by block. */
  readonly block: number;
  readonly algebra: Pick<Algebra, 'subtractProduct'>;
}

/**
 * Rounds a matrix column by column, each time moving the columns that are left to make up for the error in the output.
 * GPTQ (Frantar et al. 2022), algorithm 1: e = (w − q)/U[k,k]; w[j] −= e·U[k,j] for j > k. Rows are independent, so a block is
 * swept row by row. Codes come back in the columns' own places.
 */
export function sweep<P>(input: SweepInput<P>): { codes: Uint8Array; params: P[] } {
  const { rows, cols, order, upper, format, params: policy, algebra } = input;
  const { flat, tileRows, tileCols, across, count } = tileGrid(format, rows, cols);
  const fit = typeof policy === 'function' ? policy : undefined;
  const params: P[] = typeof policy === 'function' ? new Array<P>(count) : [...policy];
  const codes = new Uint8Array(rows * cols);
  const weight = gatherColumns(input); // in sweep order
  const tileValues = new Float64Array(tileCols);

  for (const [start, end] of blocks(input, tileCols)) {
    const width = end - start;
    const errors = new Float64Array(rows * width);
    for (let row = 0; row < rows; row++) {
      const base = row * cols;
      // flat tiles lie on one long row
      const firstTile = flat ? 0 : Math.floor(row / tileRows) * across;
      const rowOfTile = flat ? 0 : row % tileRows;
      const origin = flat ? base : 0;
      for (let k = start; k < end; k++) {
        const column = order[k]!;
        const at = origin + column;
        const group = Math.floor(at / tileCols);
        const groupStart = group * tileCols;
        const groupWidth = Math.min(tileCols, cols - groupStart);
        if (fit && params[firstTile + group] === undefined) {
          for (let i = 0; i < groupWidth; i++) tileValues[order[k + i]! - groupStart] = weight[base + k + i]!;
          params[firstTile + group] = fit({ rows: 1, cols: groupWidth, data: tileValues.subarray(0, groupWidth) }, groupStart);
        }
        const shared = params[firstTile + group]!;
        const offset = rowOfTile * groupWidth + at - groupStart;
        const value = weight[base + k]!;
        const code = format.encode(value, shared, offset);
        codes[base + column] = code;
        const factorRow = k * cols;
        const error = (value - format.decode(code, shared, offset)) / upper[factorRow + k]!;
        errors[row * width + k - start] = error;
        for (let j = k + 1; j < end; j++) weight[base + j]! -= error * upper[factorRow + j]!;
      }
    }
    if (end < cols) algebra.subtractProduct(weight, errors, upper, { rows, k: width, n: cols, bRow: start, cStart: end });
  }
  return { codes, params };
}

function gatherColumns({ weight, cols, order }: SweepInput<unknown>): Float64Array {
  const gathered = new Float64Array(weight.length);
  for (let base = 0; base < weight.length; base += cols) {
    for (let k = 0; k < cols; k++) gathered[base + k] = weight[base + order[k]!]!;
  }
  return gathered;
}

/**
 * Spans [start, end) of sweep positions of at most `block`. Where tiles are fitted on the way, no tile starts inside a span that ends
 * before it does: everything that its fit reads is then up to date.
 */
function blocks({ cols, order, params, block }: SweepInput<unknown>, tileCols: number): [number, number][] {
  const spans: [number, number][] = [];
  let start = 0;
  const cut = (end: number) => {
    for (; end - start > block; start += block) spans.push([start, start + block]);
  };
  if (typeof params === 'function') {
    for (let at = 0; at < cols; ) {
      const end = at + Math.min(tileCols, cols - Math.floor(order[at]! / tileCols) * tileCols);
      if (end - start > block && at > start) {
        spans.push([start, at]);
        start = at;
      }
      cut(end);
      at = end;
    }
  }
  cut(cols);
  spans.push([start, cols]);
  return spans;
}
