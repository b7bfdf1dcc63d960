import type { FormatFamily } from '../family.js';
import { granularityName } from '../granularity-name.js';
import type { IntSpec } from '../types.js';
import { expectGranularity, expectOneOf } from '../validate-fields.js';
import { intFormat } from './int-format.js';

export const intFamily: FormatFamily<IntSpec> = {
  validate({ bits, scheme, scaleType, granularity }) {
    expectOneOf('bits', bits, [2, 3, 4, 5, 6, 7, 8]);
    expectOneOf('scheme', scheme, ['symmetric-full', 'symmetric-restricted', 'symmetric-signed', 'asymmetric', 'asymmetric-free']);
    expectOneOf('scaleType', scaleType, ['F32', 'F16', 'BF16']);
    expectGranularity(granularity);
  },
  name: ({ bits, granularity, scheme }) => `int${bits} ${granularityName(granularity)} ${scheme}`,
  create: intFormat,
};
