import { type Matrix, random } from '@fewbit/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createFormat,
  decodeMatrix,
  encodeMatrix,
  type FormatSpec,
  fitMatrix,
  fitSearched,
  formatName,
  type Layout,
  type NumericFormat,
  type Tile,
  tileGrid,
  tileIndex,
  tileOffset,
} from '../src/index.js';

export interface ContractOptions {
  /** What a row's length must be a multiple of. Default 1: ragged tiles are tried. */
  readonly columns?: number;
  /** A layout that stores such matrices, to weigh `storedBits` by; `beside` names what it writes besides codes and parameters, save `bitsBeside` of them. */
  readonly stored?: { readonly layout: Layout; readonly beside?: readonly string[]; readonly bitsBeside?: number };
  /** Magnitudes of the matrices that are tried. Default 1e-6 … 1e4; scales in half precision hold fewer. */
  readonly magnitudes?: readonly number[];
  /** Codes are those of the reference program, which divides by scales not yet rounded to their storage: near halves they are not the nearest. */
  readonly asReference?: boolean;
  /** Values are rounded to half precision before they are encoded, so that the nearest level is that of the rounded value. */
  readonly halves?: boolean;
  /** The bound on how much worse than `fit` a search may be, relative: for parameters that are rounded after the search. Default 1e-6. */
  readonly slack?: number;
}

/** What every numeric format keeps to, whatever its family. */
export function formatContract(spec: FormatSpec, options: ContractOptions = {}): void {
  const { columns = 1, magnitudes = [1, 1e-3, 1e-6, 100, 1e4], stored, asReference = false, halves = false, slack = 1e-6 } = options;
  const format = createFormat(spec);
  const each = (check: (weight: Matrix, bound: NumericFormat) => void, runs: number) => {
    for (let seed = 1; seed <= (columns < 256 ? runs : 3); seed++) {
      const weight = drawMatrix(seed, columns, magnitudes);
      check(weight, format.bind?.(weight) ?? format);
    }
  };

  describe(formatName(spec), () => {
    it('rounds every element to the nearest level of its tile', () => {
      each((weight, bound) => {
        const matrix = encodeMatrix(weight, bound, { params: fitMatrix(weight, bound) });
        const decoded = decodeMatrix(matrix);
        const grid = tileGrid(bound, weight.rows, weight.cols);
        expect(matrix.params.length).toBe(grid.count);
        for (let at = 0; at < weight.data.length; at++) {
          const [row, col] = [Math.floor(at / weight.cols), at % weight.cols];
          const params = matrix.params[tileIndex(grid, row, col)];
          const offset = tileOffset(grid, row, col);
          const x = weight.data[at]!;
          const code = matrix.codes[at]!;
          expect(code).toBeLessThan(bound.levels);
          expect(decoded.data[at]).toBe(bound.decode(code, params, offset));
          const error = Math.abs(decoded.data[at]! - x);
          // a few units in the last place of float32; of half precision where values pass through it
          const rounding = (halves ? 2 ** -10 : 2 ** -21) * Math.abs(x) + (halves ? 2 ** -24 : 2 ** -126);
          const levels = levelsOf(bound, params, offset);
          const nearest = levels.reduce((least, y) => Math.min(least, Math.abs(y - x)), Number.POSITIVE_INFINITY);
          const step = asReference ? 0.1 * smallestStep(levels) : 0;
          expect(error).toBeLessThanOrEqual(nearest + step + rounding);
        }
      }, 15);
    });

    it('gives back zeros, and constants to within 0.4 of themselves', () => {
      for (const value of [0, 1, -1, 0.02, -1e-3, 50]) {
        const weight = { rows: 2, cols: 4 * columns, data: new Float32Array(8 * columns).fill(value) };
        for (const x of decodeMatrix(encodeMatrix(weight, format)).data)
          expect(Math.abs(x - weight.data[0]!)).toBeLessThanOrEqual(0.4 * Math.abs(value));
      }
    });

    it('has finite parameters for any finite tile', () => {
      const values = fc.oneof(
        fc.float({ noNaN: true, noDefaultInfinity: true }),
        fc.constantFrom(0, 1e-45, 1.1e-38, 3.4e38, -3.4e38, 65520),
      );
      const cols = Math.max(columns, 5);
      fc.assert(
        fc.property(
          fc.array(values, { minLength: cols, maxLength: cols }),
          fc.double({ min: 0.01, max: 1, noNaN: true }),
          (row, shrink) => {
            const tile = { rows: 1, cols, data: Float32Array.from(row) };
            const bound = format.bind?.(tile) ?? format;
            for (const params of [bound.fit(tile), bound.fit(tile, shrink), ...(bound.search ? [bound.search(tile)] : [])]) {
              expect(allFinite(params)).toBe(true);
              const codes = row.map((x, at) => bound.encode(x, params, at));
              expect(codes.every((code) => Number.isInteger(code) && code >= 0 && code < bound.levels)).toBe(true);
              const ordinary = row.every((x) => Math.abs(x) < 1e37); // levels beyond the extremes may be no float32
              expect(!ordinary || codes.every((code, at) => Number.isFinite(bound.decode(code, params, at)))).toBe(true);
            }
          },
        ),
        { numRuns: columns < 256 ? 100 : 10 },
      );
    });

    it('finds nothing worse by search than by fit', () => {
      each((weight, bound) => {
        const importance = Float64Array.from({ length: weight.cols }, (_, j) => 1 + (j % 7));
        const search = fitMatrix(weight, bound, (tile, _row, col) =>
          fitSearched(bound, tile, {
            importance: Float64Array.from({ length: tile.cols }, (_, i) => importance[(col + i) % weight.cols]!),
          }),
        );
        if (bound.settle) return; // what is settled afterwards is no longer what was searched
        const fit = fitMatrix(weight, bound, (tile) => bound.fit(tile));
        const best = weightedError(weight, bound, search, importance);
        expect(best).toBeLessThanOrEqual(weightedError(weight, bound, fit, importance) * (1 + slack));
      }, 10);
    });

    it('settles once and for all', () => {
      each((weight, bound) => {
        const params = fitMatrix(weight, bound);
        const grid = tileGrid(bound, weight.rows, weight.cols);
        expect(bound.settle?.(params, grid) ?? params).toEqual(params);
      }, 5);
    });

    if (!stored) return;
    it('takes as many bits as are written', () => {
      const { layout, beside = [], bitsBeside = 0 } = stored;
      each((weight, bound) => {
        if (layout.rejects(spec, weight.rows, weight.cols)) return;
        const tensors = layout.pack(encodeMatrix(weight, bound));
        const bytes = [...tensors].reduce((sum, [name, { data }]) => sum + (beside.includes(name) ? 0 : data.length), 0);
        const bits = bound.storedBits(weight.rows, weight.cols) - bitsBeside;
        expect(bytes * 8).toBeGreaterThanOrEqual(bits);
        // codes and zero points end in whole words
        expect(bytes * 8 - bits).toBeLessThan(32 * (weight.rows + tileGrid(bound, weight.rows, weight.cols).across + 1));
      }, 5);
    });
  });
}

/** Normal values, some of them 0, tiny or large, of a magnitude and a ragged shape that go with the seed. */
function drawMatrix(seed: number, columns: number, magnitudes: readonly number[]): Matrix {
  const { normal, below } = random(seed);
  const rows = 1 + below(4);
  const cols = columns * (1 + below(columns > 1 ? 2 : 80));
  const scale = magnitudes[seed % magnitudes.length]!;
  const odd = [0, -0, 1e-42, 3, -3];
  return {
    rows,
    cols,
    data: Float32Array.from({ length: rows * cols }, () => scale * (below(9) === 0 ? odd[below(odd.length)]! : normal())),
  };
}

/** The finite levels that codes stand for. */
function levelsOf(format: NumericFormat, params: unknown, offset: number): number[] {
  return Array.from({ length: format.levels }, (_, code) => format.decode(code, params, offset)).filter(Number.isFinite);
}

/** The least distance of two levels. */
function smallestStep(levels: readonly number[]): number {
  const rising = [...new Set(levels)].sort((a, b) => a - b);
  return rising.reduce((least, y, i) => (i > 0 ? Math.min(least, y - rising[i - 1]!) : least), Number.POSITIVE_INFINITY);
}

function weightedError({ rows, cols, data }: Tile, format: NumericFormat, params: readonly unknown[], importance: Float64Array): number {
  const decoded = decodeMatrix(encodeMatrix({ rows, cols, data: Float32Array.from(data) }, format, { params }));
  return decoded.data.reduce((sum, y, at) => sum + importance[at % cols]! * (y - data[at]!) ** 2, 0);
}

function allFinite(params: unknown): boolean {
  if (typeof params === 'object' && params !== null) return Object.values(params).every(allFinite);
  return typeof params !== 'number' || Number.isFinite(params);
}
