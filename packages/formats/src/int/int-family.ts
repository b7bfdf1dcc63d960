import type { FormatFamily } from '../family.js';
import { granularityName } from '../granularity-name.js';
import type { IntSpec } from '../types.js';
import { expectGranularity, expectOneOf } from '../validate-fields.js';
import { intFormat } from './int-format.js';

export const intFamily: FormatFamily<IntSpec> = {
  validate({ bits, scheme, scaleType, granularity }) {
    expectOneOf('scheme', scheme, [
      'symmetric-full',
      'symmetric-restricted',
      'symmetric-signed',
      'symmetric-absmax',
      'asymmetric',
      'asymmetric-free',
    ]);
    expectOneOf('bits', bits, scheme === 'symmetric-absmax' ? [8] : [2, 3, 4, 5, 6, 7, 8]);
    expectOneOf('scaleType', scaleType, scheme === 'symmetric-absmax' ? ['F32'] : ['F32', 'F16', 'BF16']);
    expectGranularity(granularity);
  },
  name: ({ bits, granularity, scheme }) => `int${bits} ${granularityName(granularity)} ${scheme}`,
  create: intFormat,
};
