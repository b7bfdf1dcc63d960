import { roundTo } from '@fewbit/core';
import { absMax } from '../abs-max.js';
import { tileGrid, tileSize } from '../tile-grid.js';
import type { IntSpec, NumericFormat } from '../types.js';
import type { IntParams } from './int-format.js';

/** int8 as LLM.int8() stores it: x̂ = (code − 128)·absmax·(1/127). `scale` is absmax/127, for kernels that know no absmax. */
export interface AbsmaxIntParams extends IntParams {
  /** Stored in place of the scale (bitsandbytes' `SCB`); 0 for a tile of zeros. */
  readonly absmax: number;
}

/** `symmetric-absmax` (LLM.int8(), Dettmers et al. 2022): values are rounded to half precision first. Float32 operations as bitsandbytes orders them. */
export function absmaxIntFormat(spec: IntSpec): NumericFormat<AbsmaxIntParams> {
  const format: NumericFormat<AbsmaxIntParams> = {
    spec,
    levels: 256,
    tile: (rows, cols) => tileSize(spec.granularity, rows, cols),
    fit: (tile, shrink = 1) => absmaxIntParams(Math.min(roundTo('F16', absMax(tile) * shrink), largestHalf)),
    encode(value, { absmax }) {
      if (absmax === 0) return middle;
      // torch divides a number by a tensor so
      const perUnit = Math.fround(Math.fround(1 / absmax) * steps);
      const code = Math.fround(roundTo('F16', value) * perUnit) + halfEven - halfEven;
      return Math.max(-steps, Math.min(code, steps)) + middle;
    },
    decode: (code, { absmax }) => Math.fround(Math.fround((code - middle) * absmax) * perStep),
    round(from, to, start, end, { absmax }) {
      if (absmax === 0) {
        to.fill(0, start, end);
        return;
      }
      const perUnit = Math.fround(Math.fround(1 / absmax) * steps);
      for (let i = start; i < end; i++) {
        const code = Math.fround(halfOf(from[i]!) * perUnit) + halfEven - halfEven + 0; // + 0: no −0
        // biome-ignore lint/complexity/useMathMinMax: as in int-format.ts, Math.min doubles the time
        to[i] = Math.fround((code < -steps ? -steps : code > steps ? steps : code) * absmax) * perStep;
      }
    },
    storedBits: (rows, cols) => rows * cols * 8 + tileGrid(format, rows, cols).count * 32,
  };
  return format;
}

/** Params of a stored absmax. */
export function absmaxIntParams(absmax: number): AbsmaxIntParams {
  return { scale: Math.fround(absmax / steps), zero: middle, absmax };
}

const steps = 127;
const perStep = Math.fround(1 / steps);
const middle = 128;
const largestHalf = 65504;

/** Added and taken away, it rounds a double below 2^51 to the nearest integer, halves to even. */
const halfEven = 1.5 * 2 ** 52;

const f32 = new Float32Array(1);
const i32 = new Int32Array(f32.buffer);

/** The nearest half of a finite number, halves to even: `roundTo('F16', value)` in a form that goes into the loop around it. */
function halfOf(value: number): number {
  f32[0] = value;
  const bits = i32[0]!;
  const magnitude = bits & 0x7fffffff;
  if (magnitude < 0x38800000) return (value * 2 ** 24 + halfEven - halfEven) * 2 ** -24; // below 2^-14: multiples of 2^-24
  if (magnitude >= 0x477ff000) return bits < 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY; // 65520 and above
  i32[0] = (bits + 0xfff + ((bits >>> 13) & 1)) & ~0x1fff;
  return f32[0]!;
}
