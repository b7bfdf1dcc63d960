import type { FormatFamily } from '../family.js';
import { granularityName } from '../granularity-name.js';
import type { FloatSpec } from '../types.js';
import { expectGranularity, expectOneOf } from '../validate-fields.js';
import { floatFormat } from './float-format.js';

export const floatFamily: FormatFamily<FloatSpec> = {
  validate({ element, scaleType, granularity }) {
    expectOneOf('element', element, ['e4m3', 'e5m2', 'e2m1']);
    expectOneOf('scaleType', scaleType, ['F32', 'F16', 'BF16']);
    expectGranularity(granularity);
  },
  name: ({ element, granularity }) => `fp${element === 'e2m1' ? 4 : 8}-${element} ${granularityName(granularity)}`,
  create: floatFormat,
};
