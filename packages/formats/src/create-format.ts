import { intFormat } from './int-format.js';
import type { FormatSpec, NumericFormat } from './types.js';
import { validateSpec } from './validate-spec.js';

/** The numeric format that `spec` names. Throws `usage` for a spec that no format has. */
export function createFormat(spec: FormatSpec): NumericFormat {
  validateSpec(spec);
  return families[spec.kind](spec) as NumericFormat;
}

const families = { int: intFormat };
