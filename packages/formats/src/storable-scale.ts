import { roundTo } from '@fewbit/core';

/** What a scale may be stored as. */
export type ScaleType = 'F32' | 'F16' | 'BF16';

/** `scale` as it reads back from `type`: never 0 and never infinite, but the nearest number that `type` has beside them. */
export function storableScale(type: ScaleType, scale: number): number {
  const rounded = roundTo(type, scale);
  if (rounded === 0) return scale < 0 ? -smallest[type] : smallest[type];
  if (Number.isFinite(rounded)) return rounded;
  return rounded < 0 ? -largest[type] : largest[type];
}

const smallest = { F32: 2 ** -149, F16: 2 ** -24, BF16: 2 ** -133 };
const largest = { F32: (2 - 2 ** -23) * 2 ** 127, F16: 65504, BF16: (2 - 2 ** -7) * 2 ** 127 };
