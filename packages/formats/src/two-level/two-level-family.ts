import type { FormatFamily } from '../family.js';
import { granularityName } from '../granularity-name.js';
import type { TwoLevelSpec } from '../types.js';
import { expectGranularity, expectOneOf, expectSize } from '../validate-fields.js';
import { twoLevelFormat } from './two-level-format.js';

const widths = [2, 3, 4, 5, 6, 7, 8];

export const twoLevelFamily: FormatFamily<TwoLevelSpec> = {
  validate({ bits, granularity, scaleBits, scaleRows, scaleType }) {
    expectOneOf('bits', bits, widths);
    expectOneOf('scaleBits', scaleBits, widths);
    expectSize('scaleRows', scaleRows);
    expectOneOf('scaleType', scaleType, ['F32', 'F16', 'BF16']);
    expectGranularity(granularity, ['group', 'channel']);
  },
  name: ({ bits, granularity, scaleBits, scaleRows }) => `int${bits} ${granularityName(granularity)} two-level${scaleBits}x${scaleRows}`,
  create: twoLevelFormat,
};
