// Activations as integers of 16 or 8 bits under one float32 scale per chunk of inputs: the rounding error is about 2e-5 or 5e-3 of their size.

import { integer, pointer } from './argument';
import { PackedCodes } from './packed-codes';
import { largest, loadUpTo, sum } from './vector';

/** Adding it rounds a float below 2²² to a whole number, which stands in the low bits of the sum: 1.5·2²³. */
const rounder: f32 = 12582912;
const rounderBits = 0x4b400000;

/**
 * Arguments: packed weight, x, values, scales, shifts, rows of x, rows per tile. A task is a tile: values [tile][chunk][32 bits of inputs][row], 0 past a chunk's
 * end; scales [tile][chunk][row]; shifts [tile][chunk][row]: the sum of the values times the weight's zero point (or 1, where rows have their own), negated; where rows have
 * bases, the sum itself.
 * NaN and infinity make the scale NaN. Scratch: a chunk.
 *
 * 32 bits are two inputs of 16 bits, or four bytes in the order in which masked slots of the weight have them.
 */
export function quantizeTile(task: i32, scratch: usize): void {
  const w = changetype<PackedCodes>(pointer(0));
  const m = integer(5);
  const rows = integer(6);
  const factor = w.ownBases ? 1 : w.ownZeros ? -1 : -w.zero;
  const words = <i32>w.valueBytes / 4;
  for (let i = 0; i < rows; i++) {
    const row = task * rows + i;
    const x = pointer(1) + <usize>row * <usize>w.cols * 4;
    for (let chunk = 0; chunk < w.chunks; chunk++) {
      const at = <usize>((task * w.chunks + chunk) * rows);
      const values = pointer(2) + at * w.valueBytes;
      const to = rows === 1 ? values : scratch;
      const count = row < m ? w.count(chunk) : 0;
      const total = quantizeChunk(w, x + <usize>w.first(chunk) * 4, count, to, pointer(3) + (at + i) * 4);
      store<i32>(pointer(4) + (at + i) * 4, factor * total);
      if (rows === 1) continue;
      for (let word = 0; word < words; word++) store<i32>(values + <usize>(word * rows + i) * 4, load<i32>(scratch + <usize>word * 4));
    }
  }
}

/** Rounds `count` floats, zeros after them; returns their sum. */
function quantizeChunk(w: PackedCodes, from: usize, count: i32, to: usize, scale: usize): i32 {
  let most = f32x4.splat(0);
  let damaged = f32x4.splat(0);
  for (let i = 0; i < count; i += 4) {
    const value = loadUpTo(from + <usize>i * 4, count - i, 0);
    most = f32x4.pmax(most, f32x4.abs(value));
    damaged = f32x4.add(damaged, f32x4.mul(value, f32x4.splat(0)));
  }
  const top = largest(most);
  const limit: f32 = w.activationBits === 8 ? 127 : 32767;
  store<f32>(scale, top / limit + sum(damaged));
  const inverse = f32x4.splat(top > 0 && top < Infinity ? limit / top : 0);
  let total = i32x4.splat(0);
  for (let i = 0; i < w.length; i += 16) {
    const at = from + <usize>i * 4;
    const a = rounded(at, count - i, inverse);
    const b = rounded(at + 16, count - i - 4, inverse);
    const c = rounded(at + 32, count - i - 8, inverse);
    const d = rounded(at + 48, count - i - 12, inverse);
    total = i32x4.add(total, i32x4.add(i32x4.add(a, b), i32x4.add(c, d)));
    const low = i16x8.narrow_i32x4_s(a, b);
    const high = i16x8.narrow_i32x4_s(c, d);
    if (w.bytes) v128.store(to + <usize>i, inSlotOrder(i8x16.narrow_i16x8_s(low, high), w.bits));
    else {
      v128.store(to + <usize>i * 2, low);
      v128.store(to + <usize>i * 2, high, 16);
    }
  }
  const halves = i32x4.add(total, v128.shuffle<i32>(total, total, 2, 3, 0, 1));
  return i32x4.extract_lane(halves, 0) + i32x4.extract_lane(halves, 1);
}

function rounded(from: usize, count: i32, inverse: v128): v128 {
  if (count <= 0) return i32x4.splat(0);
  return i32x4.sub(f32x4.add(f32x4.mul(loadUpTo(from, count, 0), inverse), f32x4.splat(rounder)), i32x4.splat(rounderBits));
}

/** Sixteen inputs as the bytes of a weight's 32-bit lanes have them, kind of slot by kind of slot. */
function inSlotOrder(bytes: v128, bits: i32): v128 {
  if (bits === 2) return v128.shuffle<i8>(bytes, bytes, 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
  return v128.shuffle<i8>(bytes, bytes, 0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
}
