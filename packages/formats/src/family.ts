import type { FormatSpec, NumericFormat } from './types.js';

/** What a family of formats answers for its specs. */
export interface FormatFamily<S extends FormatSpec = FormatSpec> {
  /** Throws `usage`, naming the field and what it may be. */
  validate(spec: S): void;
  /** A short name for people. */
  name(spec: S): string;
  /** The format of a valid spec. */
  create(spec: S): NumericFormat;
}
