import { atOnce, fromFloat32, random } from '@fewbit/core';
import { fewbitError } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import { createFormat, decodeMatrix, encodeMatrix, type FormatSpec, fewbit, fitMatrix, formatName, type TwoLevelSpec } from '../index.js';
import { twoLevelFormat } from './two-level-format.js';

const spec: TwoLevelSpec = {
  ...{ kind: 'two-level', bits: 2, granularity: { kind: 'group', size: 2 } },
  ...{ scaleBits: 2, scaleRows: 2, scaleType: 'F32' },
};

describe('two levels of scales', () => {
  it('by hand: zero points are not rounded to codes, and scales lie on steps between the least and the greatest', () => {
    // 3 steps over a range that holds 0: rows of scales 1, 2, and of zero points 1.5, 0
    const weight = { rows: 2, cols: 2, data: Float32Array.of(-1.5, 1.5, 0, 6) };
    const matrix = encodeMatrix(weight, twoLevelFormat(spec));
    const shared = { leastScale: 1, scaleStep: Math.fround(1 / 3), leastZero: 0, zeroStep: 0.5 };
    expect(matrix.params).toEqual([
      { scale: 1, zero: 1.5, base: -1.5, stored: { scaleCode: 0, zeroCode: 3, shared } },
      { scale: 2, zero: 0, base: -0, stored: { scaleCode: 3, zeroCode: 0, shared } },
    ]);
    expect([...matrix.codes]).toEqual([0, 3, 0, 3]);
    expect([...decodeMatrix(matrix).data]).toEqual([-1.5, 1.5, 0, 6]);
  });

  it('takes the nearest step: 16 scales in 2 bits err by half a step at most', () => {
    const { normal } = random(1);
    const weight = { rows: 16, cols: 8, data: Float32Array.from({ length: 128 }, normal) };
    const format = twoLevelFormat({ ...spec, granularity: { kind: 'group', size: 4 }, scaleRows: 16 });
    const fitted = fitMatrix(weight, { ...format, settle: (params) => [...params] });
    for (const [tile, { scale, zero, stored }] of fitMatrix(weight, format).entries()) {
      const { scaleStep, zeroStep, leastScale } = stored!.shared;
      expect(Math.abs(scale - fitted[tile]!.scale)).toBeLessThanOrEqual(scaleStep * 0.5001);
      expect(Math.abs(zero - fitted[tile]!.zero)).toBeLessThanOrEqual(zeroStep * 0.5001);
      expect(scale).toBeGreaterThanOrEqual(leastScale);
    }
  });

  it('lets a group of zeros have no say in what it shares', () => {
    const rows = [-1.5, 1.5, 0, 0, 0.3, -0.1];
    const [with0, without] = [rows, [-1.5, 1.5, 0.3, -0.1]].map((values) =>
      encodeMatrix({ rows: values.length / 2, cols: 2, data: Float32Array.from(values) }, twoLevelFormat({ ...spec, scaleRows: 3 })),
    );
    expect(with0!.params[0]).toEqual(without!.params[0]);
    expect(with0!.params[2]).toEqual(without!.params[1]);
  });

  it('counts 3 + 3 bits for 16 weights and four halves for 16 rows of them', () => {
    const format = createFormat({
      ...spec,
      bits: 3,
      granularity: { kind: 'group', size: 16 },
      scaleBits: 3,
      scaleRows: 16,
      scaleType: 'F16',
    });
    expect(format.storedBits(32, 64) / (32 * 64)).toBe(3 + 6 / 16 + 64 / 256);
    expect(format.storedBits(17, 20)).toBe(17 * 20 * 3 + 17 * 2 * 6 + 2 * 2 * 64);
    expect(formatName(format.spec)).toBe('int3 g16 two-level3x16');
  });

  it('refuses a spec with the field and its choices', () => {
    for (const [changes, message] of [
      [{ bits: 9 }, /bits is 9/],
      [{ scaleBits: 1 }, /scaleBits is 1; use one of 2, 3/],
      [{ scaleRows: 0 }, /scaleRows is 0/],
      [{ scaleType: 'E8M0' }, /scaleType is "E8M0"/],
      [{ granularity: { kind: 'tensor' } }, /granularity.kind is "tensor"; use one of group, channel/],
    ] as const) {
      expect(() => createFormat({ ...spec, ...changes } as FormatSpec)).toThrow(fewbitError('usage', message));
    }
  });
});

describe('two levels of scales in layout fewbit', () => {
  const weight = { rows: 2, cols: 2, data: Float32Array.of(-1.5, 1.5, 0, 6) };
  const format = twoLevelFormat(spec);

  it('are refused where a step is none', () => {
    const steps = (...values: number[]) =>
      atOnce(
        fewbit.unpack(
          new Map([
            ...fewbit.pack(encodeMatrix(weight, format)),
            ['weight_scale_steps', fromFloat32(Float32Array.from(values), 'F32', [1, 4])],
          ]),
          ...([spec, 2, 2] as const),
        ),
      );
    expect(() => steps(0, 1, 0, 1)).toThrow(fewbitError('checkpoint', /weight_scale_steps holds 0 at 0: expected a least scale above 0/));
    expect(() => steps(1, -1, 0, 1)).toThrow(/holds -1 at 1: expected a step of at least 0/);
    expect(() => steps(1, 1, Number.NaN, 1)).toThrow(/holds NaN at 2: expected a finite zero point/);
    expect(() => steps(1, 1, 0, Number.POSITIVE_INFINITY)).toThrow(/holds Infinity at 3/);
  });

  it('are not written before they are settled', () => {
    const matrix = { ...encodeMatrix(weight, format), params: [format.fit(weight), format.fit(weight)] };
    expect(() => fewbit.pack(matrix)).toThrow(fewbitError('usage', /no codes yet/));
  });
});
