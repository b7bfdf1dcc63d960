import { FewbitError, firstNonFinite, type Matrix } from '@fewbit/core';

/** Throws `numeric` when a layer's input holds NaN or Inf. */
export function requireFinite({ cols, data }: Matrix): void {
  const at = firstNonFinite(data);
  if (at < 0) return;
  throw new FewbitError(
    'numeric',
    `The calibration input holds ${data[at]} at token ${Math.floor(at / cols)}, feature ${at % cols}: the model overflows on this text, or its weights are damaged.`,
  );
}
