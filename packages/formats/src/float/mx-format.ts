import { absMax } from '../abs-max.js';
import { bestParams } from '../best-params.js';
import { tileGrid, tileSize } from '../tile-grid.js';
import type { FloatSpec, NumericFormat } from '../types.js';
import { elementLevels, elements, type FloatParams } from './elements.js';

/**
 * Floats under a power of two (OCP Microscaling v1.0): `scale` = 2^(e − 127), e an E8M0 byte in 0 … 254.
 * The exponent follows compressed-tensors: absmax's own less that of the largest element, one more where absmax is at least 1.75 times a
 * power of two, whatever the element. `search` tries the exponents beside it too: a smaller one clips the extremes and resolves the rest better.
 */
export function mxFormat(spec: FloatSpec): NumericFormat<FloatParams> {
  const { bits, largest, encode, decode, round } = elements[spec.element];
  const top = Math.floor(Math.log2(largest));
  const exponent = (bound: number) => {
    f32[0] = bound;
    return clampExponent(((u32[0]! + quarter) >>> 23) - top);
  };
  const format: NumericFormat<FloatParams> = {
    spec,
    levels: 2 ** bits,
    tile: (rows, cols) => tileSize(spec.granularity, rows, cols),
    fit: (tile, shrink = 1) => ({ scale: fromE8m0(exponent(absMax(tile) * shrink)) }),
    search(tile, importance) {
      const e = exponent(absMax(tile));
      const candidates = [e, e - 1, e + 1].map((near) => ({ scale: fromE8m0(clampExponent(near)) }));
      return bestParams(format, tile, candidates, { importance });
    },
    encode,
    decode,
    round,
    affine: elementLevels(elements[spec.element]),
    storedBits: (rows, cols) => rows * cols * bits + tileGrid(format, rows, cols).count * 8,
  };
  return format;
}

/** Of a binade, in the bits of a float32: added, it takes 1.75·2^n to the exponent n + 1. */
const quarter = 1 << 21;

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

function clampExponent(e: number): number {
  return Math.min(Math.max(e, 0), 254);
}

/** E8M0 byte → power of two; 255 is NaN. */
export function fromE8m0(byte: number): number {
  return byte === 255 ? Number.NaN : 2 ** (byte - 127);
}

/** A power of two 2^−127 … 2^127 → its E8M0 byte. */
export function toE8m0(scale: number): number {
  return Math.log2(scale) + 127;
}
