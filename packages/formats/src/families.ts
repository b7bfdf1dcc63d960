import { codebookFamily } from './codebook/codebook-family.js';
import type { FormatFamily } from './family.js';
import { floatFamily } from './float/float-family.js';
import { ggmlFamily } from './ggml/ggml-family.js';
import { intFamily } from './int/int-family.js';
import { twoLevelFamily } from './two-level/two-level-family.js';
import type { FormatSpec } from './types.js';
import { expectOneOf } from './validate-fields.js';

const families: { readonly [K in FormatSpec['kind']]: FormatFamily<Extract<FormatSpec, { kind: K }>> } = {
  int: intFamily,
  'two-level': twoLevelFamily,
  float: floatFamily,
  ggml: ggmlFamily,
  codebook: codebookFamily,
};

/** The family that `spec.kind` names. Throws `usage` where none is. */
export function familyOf(spec: FormatSpec): FormatFamily {
  expectOneOf('kind', spec.kind, Object.keys(families));
  return families[spec.kind] as FormatFamily;
}
