import { fromE4m3, random, roundHalfEven, toE4m3 } from '@fewbit/core';
import { fewbitError } from '@fewbit/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { floatsOf, numbers } from '../golden/numbers.js';
import { type ActivationSpec, createFormat, type FormatSpec, roundActivations } from './index.js';

const int8: FormatSpec = { kind: 'int', bits: 8, scheme: 'symmetric-full', granularity: { kind: 'channel' }, scaleType: 'F32' };
const fp8: FormatSpec = { kind: 'float', element: 'e4m3', granularity: { kind: 'channel' }, scaleType: 'F32' };
const shapes = fc.record({ rows: fc.integer({ min: 1, max: 6 }), cols: fc.integer({ min: 1, max: 40 }), seed: fc.nat() });

function input(rows: number, cols: number, seed: number, spread = 1) {
  const { normal } = random(seed);
  return { rows, cols, data: Float32Array.from({ length: rows * cols }, () => normal() * spread) };
}

describe('roundActivations', () => {
  it('rounds each token by its own absmax, as engines do', () => {
    fc.assert(
      fc.property(shapes, ({ rows, cols, seed }) => {
        const x = input(rows, cols, seed);
        const ints = roundActivations(x, { spec: { format: int8, scaling: 'dynamic' } });
        const floats = roundActivations(x, { spec: { format: fp8, scaling: 'dynamic' } });
        for (let i = 0; i < rows; i++) {
          const row = x.data.subarray(i * cols, (i + 1) * cols);
          const bound = row.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          const step = Math.fround(bound / 127.5);
          const clamp = (code: number) => Math.min(127, Math.max(-128, code));
          expect(ints.data.subarray(i * cols, (i + 1) * cols)).toEqual(
            row.map((value) => clamp(roundHalfEven(Math.fround(value / step))) * step + 0),
          );
          const scale = Math.fround(bound / 448);
          expect(floats.data.subarray(i * cols, (i + 1) * cols)).toEqual(row.map((value) => fromE4m3(toE4m3(value / scale)) * scale));
        }
      }),
    );
  });

  it('rounds by stored params where they are static, and saturates', () => {
    const x = { rows: 1, cols: 5, data: Float32Array.of(-100, -0.3, 0.12, 0.13, 100) };
    const format: FormatSpec = { ...int8, scheme: 'asymmetric', granularity: { kind: 'tensor' } };
    const rounded = roundActivations(x, { spec: { format, scaling: 'static' }, params: { scale: 0.25, zero: 100 } });
    expect([...rounded.data]).toEqual([-25, -0.25, 0, 0.25, 38.75]);
  });

  it('rounds each head by its own params, where it has them', () => {
    const x = input(3, 8, 5);
    const spec: ActivationSpec = { format: { ...int8, bits: 4, granularity: { kind: 'tensor' } }, scaling: 'static' };
    const params = [0.1, 0.4].map((scale) => ({ scale, zero: 8 }));
    const rounded = roundActivations(x, { spec: { ...spec, perHead: true }, params });
    for (const [head, own] of params.entries()) {
      const part = { ...x, cols: 4, data: x.data.filter((_, i) => Math.floor(i / 4) % 2 === head) };
      const expected = roundActivations(part, { spec, params: own }).data;
      expect(rounded.data.filter((_, i) => Math.floor(i / 4) % 2 === head)).toEqual(expected);
    }
    expect(() => roundActivations(input(1, 7, 5), { spec: { ...spec, perHead: true }, params })).toThrow(
      fewbitError('usage', /7 features are not made of 2 heads/),
    );
  });

  it('scales groups under a stored tensor scale', () => {
    const format: FormatSpec = { kind: 'float', element: 'e2m1', granularity: { kind: 'group', size: 2 }, scaleType: 'E4M3' };
    const x = { rows: 1, cols: 5, data: Float32Array.of(6, 0.6, 100, -60, 3) };
    const rounded = roundActivations(x, { spec: { format, scaling: 'local' }, params: { divisor: 32 } });
    // scales 32·1, 448 (32·100/6 is more than E4M3 has) and 16, over 32
    expect([...rounded.data]).toEqual([6, 0.5, 84, -56, 3]);
  });

  it.each(numbers.int8Inputs)('leaves outliers in float as bitsandbytes does, case %#', ({ rows, cols, inputs, decoded }) => {
    const spec: ActivationSpec = { format: { ...int8, scheme: 'symmetric-absmax' }, scaling: 'dynamic', outlierThreshold: 6 };
    expect([...roundActivations({ rows, cols, data: floatsOf(inputs) }, { spec }).data]).toEqual([...floatsOf(decoded)]);
  });

  it('leaves outlier features as they are, and takes what does not reach the threshold into scales', () => {
    const spec: ActivationSpec = { format: { ...int8, scheme: 'symmetric-restricted' }, scaling: 'dynamic', outlierThreshold: 6 };
    const x = { rows: 2, cols: 3, data: Float32Array.of(1.27, 2.54, 0.504, 0.4, -6, 0.127) };
    const rounded = roundActivations(x, { spec });
    const close = (values: number[]) => values.map((value) => expect.closeTo(value, 6));
    const step = 0.4 / 127;
    expect([...rounded.data]).toEqual([...close([1.28]), Math.fround(2.54), ...close([0.5]), ...close([0.4]), -6, ...close([40 * step])]);
    expect(roundActivations({ rows: 1, cols: 2, data: Float32Array.of(6, 7) }, { spec }).data).toEqual(Float32Array.of(6, 7));
  });

  it('makes a token with NaN or Inf NaN as a whole, and leaves the others', () => {
    const x = { rows: 3, cols: 2, data: Float32Array.of(1, 2, 3, Number.NaN, Number.NEGATIVE_INFINITY, 0) };
    for (const threshold of [undefined, 6]) {
      const spec: ActivationSpec = { format: int8, scaling: 'dynamic', ...(threshold && { outlierThreshold: threshold }) };
      const alone = roundActivations({ rows: 1, cols: 2, data: Float32Array.of(threshold ? 0 : 1, 2) }, { spec });
      const rounded = roundActivations(x, { spec });
      expect([...rounded.data]).toEqual([threshold ? 1 : alone.data[0], alone.data[1], ...Array.from({ length: 4 }, () => Number.NaN)]);
    }
  });

  it.each<[string, FormatSpec]>([
    ['integers', int8],
    ['integers of LLM.int8()', { ...int8, scheme: 'symmetric-absmax' }],
    ['asymmetric integers', { ...int8, scheme: 'asymmetric', bits: 3 }],
    ['E4M3', fp8],
    ['E5M2', { ...fp8, element: 'e5m2' }],
    ['E2M1', { ...fp8, element: 'e2m1' }],
    ['Q8_0', { kind: 'ggml', type: 'q8_0' }],
    ['Q4_1', { kind: 'ggml', type: 'q4_1' }],
  ])('rounds %s in one loop as value by value', (_, spec) => {
    const format = createFormat(spec);
    const value = fc.oneof(fc.float({ noNaN: true, noDefaultInfinity: true }), fc.float({ min: -4, max: 4, noNaN: true }));
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1, maxLength: 20 }),
        fc.float({ min: Math.fround(0.001), max: 2, noNaN: true }),
        (list, scale) => {
          const from = Float32Array.from(list);
          const to = new Float32Array(from.length);
          const fitted = format.fit({ rows: 1, cols: from.length, data: from });
          for (const params of [fitted, { ...(fitted as object), scale }]) {
            format.round!(from, to, 0, from.length, params);
            expect(to).toEqual(from.map((x, i) => format.decode(format.encode(x, params, i), params, i)));
          }
        },
      ),
    );
  });

  it('gives zeros for zeros', () => {
    const x = { rows: 2, cols: 3, data: new Float32Array(6) };
    for (const format of [int8, fp8]) expect(roundActivations(x, { spec: { format, scaling: 'dynamic' } })).toEqual(x);
  });
});
