import { random } from '@fewbit/core';
import type { FormatSpec, IntParams } from '@fewbit/formats';
import { roundActivations } from '@fewbit/formats';
import { referenceBackend } from '@fewbit/kernels';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gather, type InputHistogram, inputHistogram, observers, staticParams } from './index.js';

const int8: FormatSpec = { kind: 'int', bits: 8, scheme: 'symmetric-full', granularity: { kind: 'tensor' }, scaleType: 'F32' };
const fp8: FormatSpec = { kind: 'float', element: 'e4m3', granularity: { kind: 'tensor' }, scaleType: 'F32' };
const statistic = inputHistogram();

function measured(samples: readonly Float32Array[]): InputHistogram {
  const gathering = gather([statistic], 1, referenceBackend().algebra);
  for (const data of samples) gathering.add({ input: { rows: data.length, cols: 1, data } });
  return gathering.measured().get(statistic);
}

describe('inputHistogram', () => {
  it('counts every value near its place, whatever order the magnitudes come in', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }), { minLength: 1, maxLength: 60 }),
        (list) => {
          const values = Float32Array.from(list);
          const { min, max, counts, reach } = measured([values.slice(0, 7), values.slice(7)]);
          expect([min, max]).toEqual([Math.min(...values), Math.max(...values)]);
          expect(counts.reduce((sum, count) => sum + count, 0)).toBe(values.length);
          const step = (2 * reach) / counts.length;
          const sorted = [...values].sort((a, b) => a - b);
          const places = [...counts].flatMap((count, i) => Array.from({ length: count }, () => (i + 0.5) * step - reach));
          for (const [i, place] of places.entries()) expect(Math.abs(place - sorted[i]!)).toBeLessThanOrEqual(step);
        },
      ),
    );
  });
});

describe('staticParams', () => {
  const draw = random(3);
  const values = Float32Array.from({ length: 40000 }, (_, i) => (i === 77 ? 40 : draw.normal()));
  const histogram = measured([values]);
  const errorOf = (format: FormatSpec, params: unknown) => {
    const x = { rows: 1, cols: values.length, data: values };
    const { data } = roundActivations(x, { spec: { format, scaling: 'static' }, params });
    return data.reduce((sum, value, i) => sum + (value - values[i]!) ** 2, 0);
  };

  it('minmax covers all, percentile all but the rarest', () => {
    expect((staticParams(histogram, int8, 'minmax') as IntParams).scale).toBe(Math.fround(40 / 127.5));
    const { scale } = staticParams(histogram, int8, 'percentile') as IntParams;
    expect(scale * 127.5).toBeGreaterThan(3.5);
    expect(scale * 127.5).toBeLessThan(4.5);
    const shifted = measured([values.map((value) => Math.abs(value))]);
    expect(staticParams(shifted, { ...int8, scheme: 'asymmetric' } as FormatSpec, 'minmax')).toEqual({
      scale: Math.fround(40 / 255),
      zero: 0,
    });
  });

  it('mse errs least of the three', () => {
    for (const format of [int8, fp8]) {
      const [minmax, percentile, mse] = observers.map((observer) => errorOf(format, staticParams(histogram, format, observer)));
      expect(mse).toBeLessThanOrEqual(minmax! * 1.001);
      expect(mse).toBeLessThanOrEqual(percentile! * 1.001);
    }
    expect(errorOf(int8, staticParams(histogram, int8, 'mse'))).toBeLessThan(0.9 * errorOf(int8, staticParams(histogram, int8, 'minmax')));
  });

  it('needs something to be measured', () => {
    expect(() => staticParams(measured([]), int8, 'minmax')).toThrow(
      expect.objectContaining({ code: 'calibration', message: expect.stringMatching(/give calibration text/) }),
    );
  });
});
