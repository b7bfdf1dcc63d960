/** Codebooks: the 4-bit lists of bitsandbytes under an absmax, and lists fitted to the weights. */
import type { CodebookSpec, NumericFormat } from '../types.js';
import { absmaxFormat } from './absmax-format.js';
import { fittedFormat } from './fitted-format.js';
import { nestedFormat } from './nested-format.js';

/** The codebook format of `spec`, which is trusted: `createFormat` checks it. */
export function codebookFormat(spec: CodebookSpec): NumericFormat {
  if (spec.levels === 'fitted') return fittedFormat(spec) as NumericFormat;
  const create = spec.nested ? nestedFormat : absmaxFormat;
  return create(spec, spec.levels) as NumericFormat;
}
