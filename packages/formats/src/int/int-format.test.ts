import { createHash } from 'node:crypto';
import { FewbitError, random, roundTo } from '@fewbit/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { golden } from '../../golden/golden.js';
import { bytesOf, floatsOf, numbers } from '../../golden/numbers.js';
import {
  absmaxIntParams,
  createFormat,
  decodeMatrix,
  encodeMatrix,
  type FormatSpec,
  formatName,
  type IntParams,
  type IntSpec,
  intFormat,
} from '../index.js';

const channel: IntSpec = { kind: 'int', bits: 4, scheme: 'symmetric-full', granularity: { kind: 'channel' }, scaleType: 'F32' };
const schemes = ['symmetric-full', 'symmetric-restricted', 'symmetric-signed', 'asymmetric', 'asymmetric-free'] as const;
const row = (...values: number[]) => ({ rows: 1, cols: values.length, data: Float32Array.from(values) });

/** Codes, parameters and decoded values of one row. */
function nearest(spec: Partial<IntSpec>, ...values: number[]) {
  const format = intFormat({ ...channel, ...spec });
  const params = format.fit(row(...values));
  const codes = values.map((value, i) => format.encode(value, params, i));
  return { ...params, codes, decoded: codes.map((code, i) => format.decode(code, params, i)) };
}

describe('conventions, by hand', () => {
  it('symmetric-full: ± absmax over 15 steps, +absmax half a step out of reach', () => {
    // scale = 2 · 7.5 / 15 = 1
    expect(nearest({}, -7.5, 7.5, 0, 1.5, 2.5, -0.5, 3.2)).toEqual({
      scale: 1,
      zero: 8,
      codes: [0, 15, 8, 10, 10, 8, 11], // −7.5 → −8 (half to even), +7.5 → 8, clamped to 7
      decoded: [-8, 7, 0, 2, 2, 0, 3],
    });
  });

  it('symmetric-full keeps its middle where no value is negative', () => {
    expect(nearest({ bits: 2 }, 0, 3)).toMatchObject({ scale: 2, zero: 2, codes: [2, 3], decoded: [0, 2] });
  });

  it('symmetric-restricted: absmax lies on a level, the lowest is unused', () => {
    // scale = 14 / 7 = 2
    expect(nearest({ scheme: 'symmetric-restricted' }, -14, 14, 3, -5)).toEqual({
      scale: 2,
      zero: 8,
      codes: [1, 15, 10, 6],
      decoded: [-14, 14, 4, -4],
    });
    expect(nearest({ scheme: 'symmetric-restricted', bits: 2 }, -1, 1, 0.4)).toMatchObject({ scale: 1, codes: [1, 3, 2] });
  });

  it('symmetric-signed: the value of largest magnitude lies on the lowest level, so that its sign is the scale’s', () => {
    // scale = 16 / −8 = −2
    expect(nearest({ scheme: 'symmetric-signed' }, 16, -14, 2, -16)).toEqual({
      scale: -2,
      zero: 8,
      codes: [0, 15, 7, 15],
      decoded: [16, -14, 2, -14],
    });
    expect(nearest({ scheme: 'symmetric-signed' }, -16, 14)).toMatchObject({ scale: 2, codes: [0, 15] });
  });

  it('asymmetric: 15 steps over a range that holds 0, with an integer zero point', () => {
    // scale = (10 + 5) / 15 = 1, zero = round(5) = 5
    expect(nearest({ scheme: 'asymmetric' }, -5, 10, 0.5, 1.5)).toEqual({
      scale: 1,
      zero: 5,
      codes: [0, 15, 5, 7],
      decoded: [-5, 10, 0, 2],
    });
    // all positive: the range is 0 … 30
    expect(nearest({ scheme: 'asymmetric' }, 15, 30)).toMatchObject({ scale: 2, zero: 0, decoded: [16, 30] });
    // all negative
    expect(nearest({ scheme: 'asymmetric' }, -15, -30)).toMatchObject({ scale: 2, zero: 15, decoded: [-16, -30] });
  });

  it('asymmetric-free: the range is that of the values, the zero point is clamped into the codes', () => {
    expect(nearest({ scheme: 'asymmetric-free' }, -5, 10, 0.5)).toEqual({ scale: 1, zero: 5, codes: [0, 15, 5], decoded: [-5, 10, 0] });
    // scale = (31 − 1) / 15 = 2, −min/scale = −0.5 → 0: 31 is half a step out of reach
    expect(nearest({ scheme: 'asymmetric-free' }, 1, 31)).toEqual({ scale: 2, zero: 0, codes: [0, 15], decoded: [0, 30] });
    // −min/scale = 15.5 → 16, clamped to 15
    expect(nearest({ scheme: 'asymmetric-free' }, -31, -1)).toMatchObject({ scale: 2, zero: 15, decoded: [-30, 0] });
  });
});

describe('golden vectors of torch', () => {
  it.each(
    golden.nearest.map((vector) => [`${vector.bits} bits, symmetric ${vector.symmetric}, groups of ${vector.size}`, vector] as const),
  )('%s', (_, vector) => {
    const { bits, rows, cols, size } = vector;
    const format = intFormat({
      ...channel,
      bits,
      scheme: vector.symmetric ? 'symmetric-full' : 'asymmetric',
      granularity: { kind: 'group', size },
    });
    const matrix = encodeMatrix({ rows, cols, data: Float32Array.from(vector.weight) }, format);
    expect(matrix.params.map(({ scale }) => scale)).toEqual(vector.scales);
    expect(matrix.params.map(({ zero }) => zero)).toEqual(vector.zeros);
    expect([...matrix.codes]).toEqual(vector.codes);
    const decoded = decodeMatrix(matrix).data.map((x) => x + 0);
    expect(createHash('sha256').update(new Uint8Array(decoded.buffer)).digest('hex')).toBe(vector.decoded.sha256);
  });
});

describe('golden vectors of bitsandbytes', () => {
  const spec: IntSpec = { ...channel, bits: 8, scheme: 'symmetric-absmax' };
  it.each(numbers.int8)('LLM.int8(), case %#', (vector) => {
    const matrix = encodeMatrix({ rows: vector.rows, cols: vector.cols, data: floatsOf(vector.weight) }, intFormat(spec));
    expect(matrix.params).toEqual([...floatsOf(vector.absmax)].map(absmaxIntParams));
    expect([...matrix.codes]).toEqual([...bytesOf(vector.codes)].map((byte) => byte ^ 0x80));
    expect([...decodeMatrix(matrix).data]).toEqual([...floatsOf(vector.decoded)]);
  });

  it('rounds to half first, and never leaves ±127', () => {
    const format = intFormat(spec);
    const params = format.fit(row(1000.1, -4), 0.5);
    expect(params).toEqual(absmaxIntParams(500));
    expect([2000, -2000, 1e9, 3.94].map((value) => format.encode(value, params, 0))).toEqual([255, 1, 255, 129]);
  });
});

const specs = fc.record({
  kind: fc.constant('int' as const),
  bits: fc.constantFrom(2, 3, 4, 5, 6, 7, 8) as fc.Arbitrary<IntSpec['bits']>,
  scheme: fc.constantFrom(...schemes),
  granularity: fc.constant({ kind: 'channel' } as const),
  scaleType: fc.constantFrom('F32', 'F16', 'BF16') as fc.Arbitrary<IntSpec['scaleType']>,
});

describe('every scheme', () => {
  it('decodes to the nearest level, at most half a step away inside the range', () => {
    const values = fc.array(fc.float({ noNaN: true, min: -1000, max: 1000 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(specs, values, (spec, tile) => {
        const format = intFormat(spec);
        const params = format.fit(row(...tile));
        const ends = [format.decode(0, params, 0), format.decode(format.levels - 1, params, 0)];
        for (const value of tile) {
          const error = Math.abs(format.decode(format.encode(value, params, 0), params, 0) - value);
          const inside = value >= Math.min(...ends) && value <= Math.max(...ends);
          // float32 division and product: a few units in the last place
          const rounding = 1e-6 * (Math.abs(value) + Math.abs(params.scale));
          const beyond = Math.min(...ends.map((end) => Math.abs(value - end)));
          expect(error).toBeLessThanOrEqual((inside ? Math.abs(params.scale) / 2 : beyond) + rounding);
        }
      }),
    );
  });

  it('has finite parameters that its scale type stores, for any tile', () => {
    const values = fc.array(fc.oneof(fc.float({ noNaN: true }), fc.constantFrom(0, -0, 1e-45, -3.4e38, 3.4e38, 7e-8, 1e6)), {
      minLength: 1,
      maxLength: 9,
    });
    fc.assert(
      fc.property(specs, values, fc.double({ min: 0.01, max: 1, noNaN: true }), (spec, tile, shrink) => {
        const format = intFormat(spec);
        const { scale, zero } = format.fit(row(...tile), shrink);
        expect(Number.isFinite(scale) && scale !== 0 && roundTo(spec.scaleType, scale) === scale).toBe(true);
        expect(scale > 0 || spec.scheme === 'symmetric-signed').toBe(true);
        expect(Number.isInteger(zero) && zero >= 0 && zero < format.levels).toBe(true);
        for (const value of tile) {
          const code = format.encode(value, { scale, zero }, 0);
          expect(Number.isInteger(code) && code >= 0 && code < format.levels).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });

  it.each(schemes)('%s gives back an all-zero tile', (scheme) => {
    for (const scaleType of ['F32', 'F16', 'BF16'] as const) {
      expect(nearest({ scheme, scaleType }, 0, -0, 0).decoded).toEqual([0, 0, 0]);
    }
  });

  it.each(schemes)('%s gives back a constant to within a step, a single column too', (scheme) => {
    for (const value of [3, -3, 1e-3, -1e4]) {
      for (const tile of [[value], [value, value, value]]) {
        const { decoded, scale } = nearest({ scheme }, ...tile);
        for (const x of decoded) expect(Math.abs(x - value)).toBeLessThanOrEqual(Math.abs(scale) * (1 + 1e-6));
      }
    }
  });

  it.each(schemes)('%s holds huge and tiny values in float32', (scheme) => {
    for (const value of [3e38, 1e30, 1e-30, 1e-38]) {
      const { decoded, scale } = nearest({ scheme, bits: 8 }, value, -value);
      for (const [i, x] of decoded.entries())
        expect(Math.abs(x - (i === 0 ? value : -value))).toBeLessThanOrEqual(Math.abs(scale) * (1 + 1e-5));
    }
  });

  it('narrows its range by shrink', () => {
    for (const scheme of schemes) {
      const format = intFormat({ ...channel, scheme });
      const tile = row(-4, 3, 1);
      expect(format.fit(tile, 0.5).scale).toBeCloseTo(format.fit(tile).scale / 2, 6);
    }
  });
});

describe('scale types', () => {
  it('rounds the scale first, so that zero point and codes fit what is stored', () => {
    const { normal } = random(3);
    for (const scaleType of ['F16', 'BF16'] as const) {
      for (let i = 0; i < 200; i++) {
        const values = Array.from({ length: 16 }, () => Math.fround(normal()));
        const { scale, zero, codes } = nearest({ bits: 8, scheme: 'asymmetric', scaleType }, ...values);
        expect(zero).toBe(Math.round(-Math.min(0, ...values) / scale)); // no ties in these draws
        expect(codes).toEqual(values.map((x) => Math.min(255, Math.max(0, Math.round(x / scale) + zero))));
      }
    }
  });

  it('takes the nearest number that is neither 0 nor infinite', () => {
    expect(nearest({ scaleType: 'F16' }, 1e-9, -1e-9)).toMatchObject({ scale: 2 ** -24, decoded: [0, 0] });
    expect(nearest({ scaleType: 'F16', scheme: 'symmetric-signed' }, 1e-9)).toMatchObject({ scale: -(2 ** -24) });
    expect(nearest({ scaleType: 'F16' }, 1e7, -1e7)).toMatchObject({ scale: 65504, codes: [15, 0] });
    expect(nearest({ scaleType: 'BF16', bits: 2 }, 1e-45).scale).toBe(2 ** -133);
  });
});

describe('specs', () => {
  it('count the bits on disk, parameters and ragged tiles included', () => {
    const bits = (granularity: IntSpec['granularity'], changes: Partial<IntSpec> = {}) =>
      createFormat({ ...channel, ...changes, granularity }).storedBits(5, 10);
    expect(bits({ kind: 'tensor' })).toBe(50 * 4 + 32);
    expect(bits({ kind: 'channel' })).toBe(50 * 4 + 5 * 32);
    expect(bits({ kind: 'group', size: 4 }, { scaleType: 'BF16' })).toBe(50 * 4 + 15 * 16);
    expect(bits({ kind: 'group', size: 4 }, { scaleType: 'F16', scheme: 'asymmetric', bits: 3 })).toBe(50 * 3 + 15 * (16 + 3));
    expect(bits({ kind: 'block', rows: 2, cols: 4 })).toBe(50 * 4 + 9 * 32);
  });

  it('have names', () => {
    expect(formatName({ ...channel, granularity: { kind: 'group', size: 128 } })).toBe('int4 g128 symmetric-full');
    expect(formatName({ ...channel, bits: 8, scheme: 'asymmetric' })).toBe('int8 channel asymmetric');
    expect(formatName({ ...channel, granularity: { kind: 'tensor' } })).toBe('int4 tensor symmetric-full');
    expect(formatName({ ...channel, granularity: { kind: 'block', rows: 128, cols: 64 } })).toBe('int4 block128x64 symmetric-full');
  });

  it('are refused with the field and its choices', () => {
    const bad: [object, RegExp][] = [
      [{ kind: 'fp8' }, /kind is "fp8"; use one of int/],
      [{ bits: 9 }, /bits is 9; use one of 2, 3, 4/],
      [{ scheme: 'symmetric-absmax' }, /bits is 4; use one of 8/],
      [{ scheme: 'symmetric' }, /scheme is "symmetric".*symmetric-full/],
      [{ scaleType: 'F64' }, /scaleType is "F64"/],
      [{ granularity: undefined }, /granularity\.kind is undefined/],
      [{ granularity: { kind: 'row' } }, /granularity\.kind is "row"/],
      [{ granularity: { kind: 'group', size: 0 } }, /granularity\.size is 0/],
      [{ granularity: { kind: 'block', rows: 2, cols: 1.5 } }, /granularity\.cols is 1\.5/],
    ];
    for (const [changes, message] of bad) {
      const make = () => createFormat({ ...channel, ...changes } as FormatSpec);
      expect(make).toThrow(message);
      expect(make).toThrow(FewbitError);
    }
  });
});

it('keeps parameters exact where a spec is used twice', () => {
  const format = createFormat(channel);
  const params = format.fit(row(1, -2)) as IntParams;
  expect(createFormat(channel).fit(row(1, -2))).toEqual(params);
});
