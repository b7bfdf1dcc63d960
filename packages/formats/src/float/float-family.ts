import type { FormatFamily } from '../family.js';
import { granularityName } from '../granularity-name.js';
import type { FloatSpec } from '../types.js';
import { expectGranularity, expectOneOf } from '../validate-fields.js';
import { floatFormat } from './float-format.js';

export const floatFamily: FormatFamily<FloatSpec> = {
  validate({ element, scaleType, granularity }) {
    expectOneOf('element', element, ['e4m3', 'e5m2', 'e2m1']);
    expectOneOf('scaleType', scaleType, ['F32', 'F16', 'BF16', 'E8M0', 'E4M3']);
    // the microscaling formats share scales among inputs of a row
    expectGranularity(granularity, scaleType === 'E8M0' || scaleType === 'E4M3' ? ['group'] : undefined);
  },
  name({ element, granularity, scaleType }) {
    const bits = element === 'e2m1' ? 4 : 8;
    const scaled = scaleType === 'E8M0' ? 'mx' : scaleType === 'E4M3' ? 'nv' : '';
    return `${scaled}fp${bits}-${element} ${granularityName(granularity)}`;
  },
  create: floatFormat,
};
