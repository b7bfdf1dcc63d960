import { decodeMatrix, type FormatSpec } from '@fewbit/formats';
import { expect, it } from 'vitest';
import { keepOutliers } from './keep-outliers.js';
import { randomCodes } from './synthetic-weights.js';

const spec: FormatSpec = { kind: 'int', bits: 4, scheme: 'asymmetric', granularity: { kind: 'group', size: 32 }, scaleType: 'F16' };

it('keeps a share of the weights beside their codes, and the others as they are', () => {
  const plain = randomCodes(90, 70, spec, 1);
  const { outliers, ...codes } = keepOutliers(plain, 0.02, 1);
  const { starts, columns, values } = outliers!;
  expect([starts.length, starts[90], columns.length, values.length]).toEqual([91, 126, 126, 126]);
  const [before, without, within] = [plain, codes, { ...codes, outliers: outliers! }].map((matrix) => decodeMatrix(matrix).data);
  let kept = 0;
  for (let row = 0; row < 90; row++) {
    for (let i = starts[row]!; i < starts[row + 1]!; i++) {
      if (i > starts[row]!) expect(columns[i]).toBeGreaterThan(columns[i - 1]!);
      const place = row * 70 + columns[i]!;
      expect([without![place], within![place]]).toEqual([0, values[i]]);
      without![place] = before![place]!;
      kept++;
    }
  }
  expect(kept).toBe(126);
  expect(without).toEqual(before);
});
