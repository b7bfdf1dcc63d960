import { familyOf } from './families.js';
import type { FormatSpec, NumericFormat } from './types.js';

/** The numeric format that `spec` names. Throws `usage` for a spec that no format has. */
export function createFormat(spec: FormatSpec): NumericFormat {
  const family = familyOf(spec);
  family.validate(spec);
  return family.create(spec);
}
