import { leaveOut } from '@fewbit/algorithm';
import { random, roundTo } from '@fewbit/core';
import {
  createFormat,
  type FormatSpec,
  fitMatrix,
  type Granularity,
  type NumericFormat,
  type Tile,
  tileGrid,
  tileIndex,
  tileOffset,
} from '@fewbit/formats';
import { referenceAlgebra as algebra } from '@fewbit/kernels';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { columnOrder, inverseFactor, type Order, sweep } from './index.js';

const damping = 0.01;

interface Problem {
  readonly rows: number;
  readonly cols: number;
  readonly weight: Float64Array;
  /** Positive definite, [cols, cols]. */
  readonly h: Float64Array;
  readonly format: NumericFormat;
  readonly order: Order;
  /** Kept as they are when the sweep reaches them, in bf16. */
  readonly outliers: Uint32Array;
}

/** Correlated inputs of uneven power. */
function problem(seed: number, rows: number, cols: number, spec: FormatSpec, order: Order, share = 0): Problem {
  const draw = random(seed);
  const chance = random(seed + 1);
  const outliers = Uint32Array.from(Array.from({ length: rows * cols }, (_, at) => at).filter(() => chance.uniform() < share));
  const weight = Float64Array.from({ length: rows * cols }, draw.normal);
  const power = Float64Array.from({ length: cols }, () => Math.exp(draw.normal()));
  const h = new Float64Array(cols * cols);
  for (let t = 0; t < 2 * cols; t++) {
    const shared = draw.normal();
    const x = power.map((value) => value * (draw.normal() + shared));
    for (let i = 0; i < cols; i++) for (let j = 0; j < cols; j++) h[i * cols + j]! += x[i]! * x[j]!;
  }
  return { rows, cols, weight, h, format: createFormat(spec), order, outliers };
}

function run({ rows, cols, weight, h, format, order, outliers: places }: Problem, block: number) {
  const grid = tileGrid(format, rows, cols);
  const sequence = columnOrder(order, diagonal(h, cols), grid.tileCols);
  const { upper } = inverseFactor(h, sequence, damping, algebra)!;
  const params = fitsFirst({ rows, cols, format, order })
    ? fitMatrix({ rows, cols, data: weight }, format)
    : (tile: Tile, _column: number, left: readonly number[]) => format.fit(...(leaveOut(tile, undefined, left).slice(0, 1) as [Tile]));
  const outliers = { places, type: 'BF16' } as const;
  return sweep({ weight, rows, cols, order: sequence, upper, format, params, outliers, block, algebra });
}

function fitsFirst({ rows, cols, format, order }: Pick<Problem, 'rows' | 'cols' | 'format' | 'order'>): boolean {
  const { tileRows, flat } = tileGrid(format, rows, cols);
  return order === 'activation' || tileRows > 1 || flat;
}

/**
 * Optimal Brain Quantization, dense and unblocked: after each column the inverse of the Hessian of the columns left is made anew
 * by Gauss–Jordan elimination, and every weight left is moved at once.
 */
function oracle(given: Problem) {
  const { rows, cols, h, format, order } = given;
  const grid = tileGrid(format, rows, cols);
  const weight = Float64Array.from(given.weight);
  const params: unknown[] = fitsFirst(given) ? [...fitMatrix({ rows, cols, data: weight }, format)] : [];
  const codes = new Uint8Array(rows * cols);
  const kept = new Map(Array.from(given.outliers, (place) => [place, 0]));
  const lambda = (damping * diagonal(h, cols).reduce((sum, x) => sum + x)) / cols;
  let left = [...columnOrder(order, diagonal(h, cols), grid.tileCols)];
  let margin = Number.POSITIVE_INFINITY;
  while (left.length > 0) {
    const inverse = gaussInverse(left.map((i) => left.map((j) => h[i * cols + j]! + (i === j ? lambda : 0))));
    const column = left[0]!;
    const start = column - (column % grid.tileCols);
    const width = Math.min(grid.tileCols, cols - start);
    for (let row = 0; row < rows; row++) {
      const tile = tileIndex(grid, row, column);
      const places = Array.from({ length: width }, (_, i) => row * cols + start + i).filter((place) => !kept.has(place));
      const values = places.length > 0 ? places.map((place) => weight[place]!) : [0];
      params[tile] ??= format.fit({ rows: 1, cols: values.length, data: Float64Array.from(values) });
      const offset = tileOffset(grid, row, column);
      const value = weight[row * cols + column]!;
      const isKept = kept.has(row * cols + column);
      const code = format.encode(isKept ? 0 : value, params[tile], offset);
      codes[row * cols + column] = code;
      if (isKept) kept.set(row * cols + column, roundTo('BF16', value));
      else margin = Math.min(margin, tieDistance(format, value, params[tile], offset));
      const error = (value - (isKept ? roundTo('BF16', value) : format.decode(code, params[tile], offset))) / inverse[0]![0]!;
      for (const [k, j] of left.entries()) weight[row * cols + j]! -= error * inverse[0]![k]!;
    }
    left = left.slice(1);
  }
  return { codes, params, kept: [...kept.values()], margin };
}

/** How far, relative to its size, `value` may move before its code changes: codes of two exact solvers may differ at ties. */
function tieDistance(format: NumericFormat, value: number, params: unknown, offset: number): number {
  const code = format.encode(value, params, offset);
  for (const step of [1e-9, 1e-8, 1e-7]) {
    const moved = step * (1 + Math.abs(value));
    if (format.encode(value + moved, params, offset) !== code || format.encode(value - moved, params, offset) !== code) return step;
  }
  return 1;
}

function gaussInverse(a: number[][]): number[][] {
  const n = a.length;
  const work = a.map((row, i) => [...row, ...row.map((_, j) => (i === j ? 1 : 0))]);
  for (let i = 0; i < n; i++) {
    const pivot = work[i]![i]!;
    for (let k = 0; k < 2 * n; k++) work[i]![k]! /= pivot;
    for (let j = 0; j < n; j++) {
      if (j === i) continue;
      const factor = work[j]![i]!;
      for (let k = 0; k < 2 * n; k++) work[j]![k]! -= factor * work[i]![k]!;
    }
  }
  return work.map((row) => row.slice(n));
}

const diagonal = (h: Float64Array, n: number) => Float64Array.from({ length: n }, (_, i) => h[i * n + i]!);

const granularity: fc.Arbitrary<Granularity> = fc.oneof(
  fc.constant({ kind: 'tensor' } as const),
  fc.constant({ kind: 'channel' } as const),
  fc.record({ kind: fc.constant('group' as const), size: fc.integer({ min: 1, max: 20 }) }),
  fc.record({ kind: fc.constant('flat' as const), size: fc.integer({ min: 1, max: 40 }) }),
  fc.record({ kind: fc.constant('block' as const), rows: fc.integer({ min: 1, max: 4 }), cols: fc.integer({ min: 1, max: 9 }) }),
);
const problems = fc
  .record({
    seed: fc.integer(),
    rows: fc.integer({ min: 1, max: 6 }),
    cols: fc.integer({ min: 1, max: 17 }),
    bits: fc.constantFrom(2, 3, 4, 5, 6, 7, 8),
    scheme: fc.constantFrom('symmetric-full', 'symmetric-restricted', 'symmetric-signed', 'asymmetric', 'asymmetric-free'),
    granularity,
    order: fc.constantFrom('natural', 'activation', 'group-aware'),
    share: fc.constantFrom(0, 0, 0.2, 1),
  })
  .map(({ seed, rows, cols, order, share, ...spec }) =>
    problem(seed, rows, cols, { kind: 'int', scaleType: 'F32', ...spec } as FormatSpec, order as Order, share),
  );

describe('sweep', () => {
  it('is Optimal Brain Quantization, for any shape, format, order and block', () => {
    fc.assert(
      fc.property(problems, fc.integer({ min: 1, max: 20 }), (given, block) => {
        const expected = oracle(given);
        fc.pre(expected.margin === 1);
        const { codes, params, outliers } = run(given, block);
        expect(codes).toEqual(expected.codes);
        expect(params).toEqual(expected.params);
        // two exact solvers may round to neighbours
        for (const [i, value] of expected.kept.entries())
          expect(Math.abs(outliers!.values[i]! - value)).toBeLessThanOrEqual(2 ** -7 * Math.abs(value));
      }),
      { numRuns: 300 },
    );
  });

  it('gives the same codes for every block size, groups within, across and beyond blocks', () => {
    const blocks = [7, 16, 128, 1000];
    for (const order of ['natural', 'activation', 'group-aware'] as const) {
      for (const size of [5, 32, 48, 500]) {
        const given = problem(size, 9, 150, int(4, { kind: 'group', size }), order);
        const single = run(given, 1);
        for (const block of blocks) expect(run(given, block)).toEqual(single);
      }
    }
  });

  it('follows its columns when they are permuted', () => {
    const [rows, cols] = [5, 40];
    const given = problem(11, rows, cols, int(3, { kind: 'channel' }), 'activation');
    const draw = random(5);
    const from = Array.from({ length: cols }, (_, i) => i);
    for (let i = cols - 1; i > 0; i--) {
      const j = draw.below(i + 1);
      [from[i], from[j]] = [from[j]!, from[i]!];
    }
    const permuted: Problem = {
      ...given,
      weight: given.weight.map((_, at) => given.weight[at - (at % cols) + from[at % cols]!]!),
      h: given.h.map((_, at) => given.h[from[Math.floor(at / cols)]! * cols + from[at % cols]!]!),
    };
    const [plain, moved] = [run(given, 16).codes, run(permuted, 16).codes];
    expect([...moved]).toEqual(Array.from(moved, (_, at) => plain[at - (at % cols) + from[at % cols]!]!));
  });

  it('leaves its inputs alone', () => {
    const given = problem(2, 4, 30, int(4, { kind: 'group', size: 8 }), 'group-aware');
    const copies = [given.weight.slice(), given.h.slice()];
    run(given, 8);
    expect([given.weight, given.h]).toEqual(copies);
  });
});

function int(bits: 3 | 4, granularity: Granularity): FormatSpec {
  return { kind: 'int', bits, scheme: 'asymmetric', granularity, scaleType: 'F32' };
}
