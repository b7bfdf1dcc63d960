import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromBf16, fromF16, fromFloat32, random, roundHalfEven, toBf16, toF16, toFloat32 } from './index.js';

describe('half precision', () => {
  it('keeps every half and bfloat16 code through float32', () => {
    for (let bits = 0; bits < 65536; bits++) {
      const half = fromF16(bits);
      if (!Number.isNaN(half)) expect(toF16(half)).toBe(bits);
      const brain = fromBf16(bits);
      if (!Number.isNaN(brain)) expect(toBf16(brain)).toBe(bits);
    }
  });

  it('rounds to the nearest code, ties to even', () => {
    // 1 + 2^-11 lies half-way between two halves: the even one is 1
    expect(toF16(1 + 2 ** -11)).toBe(0x3c00);
    expect(toF16(1 + 3 * 2 ** -11)).toBe(0x3c02);
    expect(toF16(65519.996)).toBe(0x7bff);
    expect(toF16(65520)).toBe(0x7c00);
    expect(toF16(2 ** -25)).toBe(0);
    expect(toF16(3 * 2 ** -25)).toBe(2);
    expect(toBf16(1 + 2 ** -8)).toBe(0x3f80);
    expect(toBf16(1 + 3 * 2 ** -8)).toBe(0x3f82);
    expect(fromBf16(toBf16(Number.NaN))).toBeNaN();
    expect(fromF16(toF16(Number.NaN))).toBeNaN();
  });

  it('is never farther than the neighbouring codes', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true, min: -65000, max: 65000 }), (x) => {
        const bits = toF16(x);
        const error = Math.abs(fromF16(bits) - x);
        for (const near of [bits - 1, bits + 1]) {
          const other = fromF16(near & 0xffff);
          if (Number.isFinite(other)) expect(error).toBeLessThanOrEqual(Math.abs(other - x));
        }
      }),
    );
  });
});

describe('tensors', () => {
  it('read back what they store', () => {
    const values = Float32Array.from([0, -0, 1.5, -2.25, 65504]);
    for (const dtype of ['F32', 'F64', 'F16'] as const) expect(toFloat32(fromFloat32(values, dtype, [5]))).toEqual(values);
    expect(() => fromFloat32(values, 'F32', [2, 3])).toThrow(/needs 6 values, got 5/);
  });

  it('read bytes that start at any offset', () => {
    const bytes = new Uint8Array(9);
    new DataView(bytes.buffer).setFloat32(1, 3.5, true);
    expect(toFloat32({ dtype: 'F32', shape: [1], data: bytes.subarray(1, 5) })[0]).toBe(3.5);
  });
});

it('rounds half to even', () => {
  expect([0.5, 1.5, 2.5, -0.5, -1.5, 2.4999, -2.5001].map(roundHalfEven)).toEqual([0, 2, 2, 0, -2, 2, -3].map((x) => x + 0));
});

it('draws the same numbers from the same seed', () => {
  const [a, b, c] = [random(7), random(7), random(8)];
  const draws = Array.from({ length: 1000 }, () => a.uniform());
  expect(draws).toEqual(draws.map(() => b.uniform()));
  expect(c.uniform()).not.toBe(draws[0]);
  const mean = draws.reduce((sum, x) => sum + x) / draws.length;
  expect(Math.abs(mean - 0.5)).toBeLessThan(0.05);
});
