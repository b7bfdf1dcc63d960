import { FewbitError } from '@fewbit/core';
import { formatName } from '../format-name.js';
import type { FloatSpec, FormatSpec, IntSpec } from '../types.js';

/** The families that compressed-tensors has arguments for. */
export type HeldSpec = IntSpec | FloatSpec;

export function isHeld(spec: FormatSpec): spec is HeldSpec {
  return spec.kind === 'int' || spec.kind === 'float';
}

/** Throws `unsupported` for another family. */
export function heldSpec(spec: FormatSpec): HeldSpec {
  if (isHeld(spec)) return spec;
  throw new FewbitError('unsupported', `compressed-tensors has no ${formatName(spec)}.`);
}
