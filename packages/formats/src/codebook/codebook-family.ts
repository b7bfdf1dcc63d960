import { FewbitError } from '@fewbit/core';
import type { FormatFamily } from '../family.js';
import { granularityName } from '../granularity-name.js';
import type { CodebookSpec } from '../types.js';
import { expectGranularity, expectOneOf } from '../validate-fields.js';
import { codebookFormat } from './codebook-format.js';

export const codebookFamily: FormatFamily<CodebookSpec> = {
  validate({ levels, bits, granularity, scaleType, nested }) {
    expectOneOf('levels', levels, ['nf4', 'bnb-fp4', 'fitted']);
    expectOneOf('bits', bits, levels === 'fitted' ? [2, 3, 4, 5, 6, 7, 8] : [4]);
    expectOneOf('scaleType', scaleType, ['F32', 'F16', 'BF16']);
    expectGranularity(granularity);
    if (nested && (levels === 'fitted' || scaleType !== 'F32'))
      throw new FewbitError('usage', 'Format nested goes with levels nf4 or bnb-fp4 and scaleType F32, as in bitsandbytes.');
  },
  name({ levels, bits, granularity, nested }) {
    const name = levels === 'fitted' ? `codebook${bits}` : levels;
    return `${name} ${granularityName(granularity)}${nested ? ' nested' : ''}`;
  },
  create: codebookFormat,
};
