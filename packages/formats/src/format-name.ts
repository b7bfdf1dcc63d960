import { familyOf } from './families.js';
import type { FormatSpec } from './types.js';

/** A short name for people: `int4 g128 symmetric-full`, `fp8-e4m3 channel`. */
export function formatName(spec: FormatSpec): string {
  return familyOf(spec).name(spec);
}
