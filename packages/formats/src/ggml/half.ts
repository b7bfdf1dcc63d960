import { roundTo } from '@fewbit/core';

const largest = 65504;

/** `value` as an f16 stores it, finite: what is too large becomes the largest. */
export function toHalf(value: number): number {
  const rounded = roundTo('F16', value);
  if (Number.isFinite(rounded)) return rounded;
  return rounded > 0 ? largest : -largest;
}
