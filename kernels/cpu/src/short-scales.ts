import { findInStrips, fromE4m3, type Pausable, toE4m3 } from '@fewbit/core';
import type { MatrixIntegers } from '@fewbit/kernels';
import type { scaleTypeIds } from './addon.js';

/** Scales as they lie in memory. */
export interface ShortScales {
  readonly scaleType: keyof typeof scaleTypeIds;
  /** Of types of a byte as these bytes; else float32. */
  readonly scales: Float32Array | Uint8Array | Int8Array;
  /** Of all of them. */
  readonly divisor: number;
}

/** Scales in a byte each, where it holds every one of them exactly: powers of two, or numbers of E4M3 over `divisor`; else as `scaleType`. Pauses between strips. */
export function* shortScales({
  scales,
  scaleType,
  divisor,
}: Pick<MatrixIntegers, 'scales' | 'scaleType' | 'divisor'>): Pausable<ShortScales> {
  return (yield* powersOfTwo(scales)) ?? (yield* quotients(scales, divisor)) ?? { scaleType, scales, divisor: 1 };
}

/** A float32 that is a power of two has an exponent and nothing else. */
function* powersOfTwo(scales: Float32Array): Pausable<ShortScales | undefined> {
  const words = new Uint32Array(scales.buffer, scales.byteOffset, scales.length);
  const bytes = new Uint8Array(scales.length);
  const other = yield* findInStrips(scales.length, (start, end) => {
    for (let i = start; i < end; i++) bytes[i] = words[i]! >>> 23;
    return words.subarray(start, end).findIndex((word) => (word & 0x807fffff) !== 0);
  });
  return other < 0 ? { scaleType: 'E8M0', scales: bytes, divisor: 1 } : undefined;
}

function* quotients(scales: Float32Array, divisor: number | undefined): Pausable<ShortScales | undefined> {
  if (divisor === undefined || !Number.isFinite(Math.fround(divisor))) return undefined;
  const bytes = new Uint8Array(scales.length);
  const other = yield* findInStrips(scales.length, (start, end) => {
    for (let i = start; i < end; i++) bytes[i] = toE4m3(scales[i]! * divisor);
    return scales.subarray(start, end).findIndex((scale, i) => Math.fround(fromE4m3(bytes[start + i]!) / divisor) !== scale);
  });
  return other < 0 ? { scaleType: 'E4M3', scales: bytes, divisor } : undefined;
}
