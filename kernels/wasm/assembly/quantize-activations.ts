// Activations as 16-bit integers under one float32 scale per chunk of inputs: their rounding error is about 2e-5 of their size.

import { integer, pointer } from './argument';
import { PackedCodes } from './packed-codes';
import { largest, loadUpTo, sum } from './vector';

/** Adding it rounds a float below 2²² to a whole number, which stands in the low bits of the sum: 1.5·2²³. */
const rounder: f32 = 12582912;
const rounderBits = 0x4b400000;

/**
 * Arguments: packed weight, x, values, scales, shifts, rows of x, rows per tile. A task is a tile: values [tile][chunk][pair of inputs][row], 0 past a chunk's
 * end; scales [tile][chunk][row]; shifts [tile][chunk][row]: the sum of the values times the weight's zero point (or 1, where rows have their own), negated.
 * NaN and infinity make the scale NaN. Scratch: a chunk.
 */
export function quantizeTile(task: i32, scratch: usize): void {
  const w = changetype<PackedCodes>(pointer(0));
  const m = integer(5);
  const rows = integer(6);
  const factor = w.ownZeros ? -1 : -w.zero;
  for (let i = 0; i < rows; i++) {
    const row = task * rows + i;
    const x = pointer(1) + <usize>row * <usize>w.cols * 4;
    for (let chunk = 0; chunk < w.chunks; chunk++) {
      const at = <usize>((task * w.chunks + chunk) * rows);
      const values = pointer(2) + at * <usize>w.length * 2;
      const whole = rows === 1 ? values : scratch;
      const count = row < m ? w.count(chunk) : 0;
      quantizeChunk(x + <usize>w.first(chunk) * 4, count, w.length, whole, pointer(3) + (at + i) * 4, pointer(4) + (at + i) * 4, factor);
      if (rows === 1) continue;
      for (let pair = 0; pair < w.length / 2; pair++)
        store<i32>(values + <usize>(pair * rows + i) * 4, load<i32>(scratch + <usize>pair * 4));
    }
  }
}

function quantizeChunk(from: usize, count: i32, length: i32, to: usize, scale: usize, shift: usize, factor: i32): void {
  let most = f32x4.splat(0);
  let damaged = f32x4.splat(0);
  for (let i = 0; i < count; i += 4) {
    const value = loadUpTo(from + <usize>i * 4, count - i, 0);
    most = f32x4.pmax(most, f32x4.abs(value));
    damaged = f32x4.add(damaged, f32x4.mul(value, f32x4.splat(0)));
  }
  const top = largest(most);
  store<f32>(scale, top / 32767 + sum(damaged));
  const inverse = f32x4.splat(top > 0 && top < Infinity ? <f32>32767 / top : 0);
  let total = i32x4.splat(0);
  for (let i = 0; i < length; i += 8) {
    const low = rounded(from + <usize>i * 4, count - i, inverse);
    const high = rounded(from + <usize>i * 4 + 16, count - i - 4, inverse);
    total = i32x4.add(total, i32x4.add(low, high));
    v128.store(to + <usize>i * 2, i16x8.narrow_i32x4_s(low, high));
  }
  const halves = i32x4.add(total, v128.shuffle<i32>(total, total, 2, 3, 0, 1));
  store<i32>(shift, factor * (i32x4.extract_lane(halves, 0) + i32x4.extract_lane(halves, 1)));
}

function rounded(from: usize, count: i32, inverse: v128): v128 {
  if (count <= 0) return i32x4.splat(0);
  return i32x4.sub(f32x4.add(f32x4.mul(loadUpTo(from, count, 0), inverse), f32x4.splat(rounder)), i32x4.splat(rounderBits));
}
