import { type Matrix, random } from '@fewbit/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createFormat,
  decodeMatrix,
  encodeMatrix,
  type Granularity,
  type IntSpec,
  intFormat,
  tileGrid,
  tileIndex,
  tileOffset,
} from './index.js';

const granularities: fc.Arbitrary<Granularity> = fc.oneof(
  fc.constant({ kind: 'tensor' } as const),
  fc.constant({ kind: 'channel' } as const),
  fc.record({ kind: fc.constant('group' as const), size: fc.integer({ min: 1, max: 20 }) }),
  fc.record({ kind: fc.constant('block' as const), rows: fc.integer({ min: 1, max: 9 }), cols: fc.integer({ min: 1, max: 9 }) }),
);
const shapes = fc.record({ rows: fc.integer({ min: 1, max: 12 }), cols: fc.integer({ min: 1, max: 30 }), seed: fc.integer() });
const spec = (granularity: Granularity): IntSpec => ({ kind: 'int', bits: 4, scheme: 'asymmetric', granularity, scaleType: 'F16' });

function normal(rows: number, cols: number, seed: number): Matrix {
  const draw = random(seed);
  return { rows, cols, data: Float32Array.from({ length: rows * cols }, () => draw.normal()) };
}

describe('matrices', () => {
  it('are encoded tile by tile, whatever the shape', () => {
    fc.assert(
      fc.property(granularities, shapes, (granularity, { rows, cols, seed }) => {
        const format = intFormat(spec(granularity));
        const grid = tileGrid(format, rows, cols);
        const weight = normal(rows, cols, seed);
        const matrix = encodeMatrix(weight, format);
        const decoded = decodeMatrix(matrix);
        // the plain way: gather each tile's elements, fit, encode one by one
        const members = Array.from({ length: grid.count }, () => [] as number[]);
        for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) members[tileIndex(grid, i, j)]!.push(i * cols + j);
        const params = members.map((places) =>
          format.fit({ rows: 1, cols: places.length, data: Float32Array.from(places, (at) => weight.data[at]!) }),
        );
        expect(matrix.params).toEqual(params);
        for (const [tile, places] of members.entries()) {
          for (const at of places) {
            expect(matrix.codes[at]).toBe(format.encode(weight.data[at]!, params[tile]!, 0));
            expect(decoded.data[at]).toBe(format.decode(matrix.codes[at]!, params[tile]!, 0));
          }
        }
      }),
    );
  });

  it('hand each tile to fit with its place', () => {
    const weight = normal(3, 5, 1);
    const format = intFormat(spec({ kind: 'block', rows: 2, cols: 3 }));
    const seen: unknown[] = [];
    encodeMatrix(weight, format, {
      fit: (tile, row, col) => {
        seen.push([row, col, tile.rows, tile.cols, [...tile.data]]);
        return format.fit(tile);
      },
    });
    const at = (...places: number[]) => places.map((place) => weight.data[place]);
    expect(seen).toEqual([
      [0, 0, 2, 3, at(0, 1, 2, 5, 6, 7)],
      [0, 3, 2, 2, at(3, 4, 8, 9)],
      [2, 0, 1, 3, at(10, 11, 12)],
      [2, 3, 1, 2, at(13, 14)],
    ]);
  });

  it('run across rows where they are flat, as groups of one long row', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 70 }), (rows, cols, size) => {
        const weight = normal(rows, cols, size);
        const flat = encodeMatrix(weight, intFormat(spec({ kind: 'flat', size })));
        const long = encodeMatrix({ ...weight, rows: 1, cols: rows * cols }, intFormat(spec({ kind: 'group', size })));
        expect({ ...flat, rows: 1, cols: rows * cols, spec: long.spec }).toEqual(long);
        expect(decodeMatrix(flat).data).toEqual(decodeMatrix(long).data);
        const grid = tileGrid(createFormat(flat.spec), rows, cols);
        for (let at = 0; at < rows * cols; at++) {
          const [row, col] = [Math.floor(at / cols), at % cols];
          expect([tileIndex(grid, row, col), tileOffset(grid, row, col)]).toEqual([Math.floor(at / size), at % size]);
        }
      }),
    );
  });

  it('are encoded with given params', () => {
    const weight = normal(2, 6, 2);
    const format = intFormat(spec({ kind: 'group', size: 4 }));
    const params = [0.1, 0.2, 0.3, 0.4].map((scale) => ({ scale, zero: 8 }));
    const matrix = encodeMatrix(weight, format, { params });
    expect(matrix.params).toBe(params);
    expect(matrix.codes[11]).toBe(format.encode(weight.data[11]!, params[3]!, 1));
    expect(() => encodeMatrix(weight, format, { params: params.slice(1) })).toThrow(/has 4 tiles, got 3 params/);
  });

  it('are decoded by the group of each column', () => {
    const params = [1, 10, 100, 1000].map((scale) => ({ scale, zero: 8 }));
    const codes = new Uint8Array(10).fill(9);
    const matrix = { rows: 2, cols: 5, spec: spec({ kind: 'group', size: 3 }), codes, params, columnGroup: Uint32Array.of(1, 0, 0, 1, 0) };
    expect([...decodeMatrix(matrix).data]).toEqual([10, 1, 1, 10, 1, 1000, 100, 100, 1000, 100]);
  });
});
