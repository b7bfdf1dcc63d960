import { familyOf } from './families.js';
import type { FormatSpec } from './types.js';

/** Throws `usage`, naming the field and what it may be, for a spec (from JSON, say) that is not one of ours. */
export function validateSpec(spec: FormatSpec): void {
  familyOf(spec).validate(spec);
}
