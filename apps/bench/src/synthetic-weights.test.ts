import { decodeMatrix, type FormatSpec, type Granularity } from '@fewbit/formats';
import { describe, expect, it } from 'vitest';
import { randomCodes } from './synthetic-weights.js';

const spec = (granularity: Granularity): FormatSpec => ({ kind: 'int', bits: 4, scheme: 'asymmetric', granularity, scaleType: 'F16' });

describe('randomCodes', () => {
  it.each<Granularity>([{ kind: 'group', size: 32 }, { kind: 'channel' }, { kind: 'tensor' }, { kind: 'block', rows: 48, cols: 40 }])(
    'repeats whole tiles of %j, ragged edges too',
    (granularity) => {
      const codes = randomCodes(150, 70, spec(granularity), 1);
      const { data } = decodeMatrix(codes);
      expect(data.every(Number.isFinite)).toBe(true);
      const deviation = Math.sqrt(data.reduce((sum, value) => sum + value * value, 0) / data.length);
      expect(deviation).toBeGreaterThan(0.015);
      expect(deviation).toBeLessThan(0.025);
      expect(randomCodes(150, 70, spec(granularity), 1)).toEqual(codes);
    },
  );
});
