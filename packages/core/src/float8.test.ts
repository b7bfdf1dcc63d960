import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromE2m1, fromE4m3, fromE5m2, toE2m1, toE4m3, toE5m2 } from './index.js';

const codecs = [
  { name: 'E4M3', to: toE4m3, from: fromE4m3, codes: 256, largest: 448, nan: 0x7f },
  { name: 'E5M2', to: toE5m2, from: fromE5m2, codes: 256, largest: 57344, nan: 0x7f },
  { name: 'E2M1', to: toE2m1, from: fromE2m1, codes: 16, largest: 6, nan: 0 },
];

describe.each(codecs)('$name', ({ to, from, codes, largest, nan }) => {
  const sign = codes / 2;
  const magnitudes = Array.from({ length: sign }, (_, code) => from(code)).filter(Number.isFinite);

  it('gives every code back, −0 too, and NaN its own', () => {
    for (let code = 0; code < codes; code++) {
      const value = from(code);
      if (Number.isNaN(value)) expect(to(value)).toBe(nan);
      else if (Number.isFinite(value)) expect(to(value)).toBe(code);
    }
    expect(Object.is(from(sign), -0)).toBe(true);
    expect(to(Number.NaN)).toBe(nan);
  });

  it('rounds halves to the even code, and each side of them to its own', () => {
    for (let code = 0; code + 1 < magnitudes.length; code++) {
      const half = (magnitudes[code]! + magnitudes[code + 1]!) / 2;
      expect(to(half)).toBe(code + (code % 2));
      expect(to(half * (1 - 2 ** -20))).toBe(code);
      expect(to(half * (1 + 2 ** -20))).toBe(code + 1);
      expect(to(-half)).toBe(sign + code + (code % 2));
    }
  });

  it('saturates', () => {
    expect(from(to(largest))).toBe(largest);
    for (const value of [largest * 1.01, largest * 4, 3e38, Number.POSITIVE_INFINITY]) {
      expect(from(to(value))).toBe(largest);
      expect(from(to(-value))).toBe(-largest);
    }
  });

  it('is the nearest value', () => {
    fc.assert(
      fc.property(fc.float({ min: -largest, max: largest, noNaN: true }), (value) => {
        const nearest = magnitudes.reduce((least, x) => Math.min(least, Math.abs(Math.abs(value) - x)), Number.POSITIVE_INFINITY);
        expect(Math.abs(from(to(value)) - value)).toBe(nearest);
      }),
    );
  });
});
