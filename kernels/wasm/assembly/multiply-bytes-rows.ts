// As multiply-codes-rows.ts, where activations are bytes (byte-products.ts).

import { nibbleMask, ones, products, sixteens } from './byte-products';
import { firstSum, PackedCodes, scaled } from './packed-codes';

/** Bytes of codes whose products add up in 16 bits: for codes of 4 bits, eight times two products of at most 15·127. */
const exactBytes = 128;
const exactBytes8 = 256;

const pairs = memory.data<i32>([0x03030303, 0x03030303, 0x03030303, 0x03030303], 16);

/** One block of rows with one row of x → the eight floats at `to`. */
export function blockOfBytes(w: PackedCodes, at: usize, x: usize, scales: usize, shifts: usize, to: usize): void {
  if (!ASC_FEATURE_RELAXED_SIMD) return;
  if (w.slot === 4) block4(w, at, x, scales, shifts, to);
  else if (w.slot === 8) block8(w, at, x, scales, shifts, to);
  else block2(w, at, x, scales, shifts, to);
}

function block4(w: PackedCodes, at: usize, x: usize, scales: usize, shifts: usize, to: usize): void {
  const mask = v128.load(nibbleMask);
  const one = v128.load(ones);
  const codeBytes = <usize>w.length * 4;
  const chunkBytes = <usize>w.chunkBytes;
  const last = scales + <usize>w.chunks * 4;
  let total0 = f32x4.splat(0);
  let total1 = f32x4.splat(0);
  for (; scales < last; scales += 4) {
    const end = at + codeBytes;
    let a0 = firstSum(w, end, 0, shifts);
    let a1 = firstSum(w, end, 4, shifts);
    do {
      const stop = min(at + exactBytes, end);
      let s0 = i16x8.splat(0);
      let s1 = i16x8.splat(0);
      do {
        const low = v128.load32_splat(x);
        const high = v128.load32_splat(x, 4);
        const w0 = v128.load(at);
        const w1 = v128.load(at, 16);
        s0 = i16x8.add(s0, products(low, v128.and(w0, mask)));
        s1 = i16x8.add(s1, products(low, v128.and(w1, mask)));
        s0 = i16x8.add(s0, products(high, v128.and(i16x8.shr_u(w0, 4), mask)));
        s1 = i16x8.add(s1, products(high, v128.and(i16x8.shr_u(w1, 4), mask)));
        at += 32;
        x += 8;
      } while (at < stop);
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(s0, one));
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(s1, one));
    } while (at < end);
    const by = v128.load32_splat(scales);
    total0 = f32x4.add(total0, scaled(w, a0, end, 0, by));
    total1 = f32x4.add(total1, scaled(w, a1, end, 1, by));
    at += chunkBytes - codeBytes;
    shifts += 4;
  }
  v128.store(to, total0);
  v128.store(to, total1, 16);
}

function block8(w: PackedCodes, at: usize, x: usize, scales: usize, shifts: usize, to: usize): void {
  const mask = v128.load(nibbleMask);
  const one = v128.load(ones);
  const sixteen = v128.load(sixteens);
  const codeBytes = <usize>w.length * 8;
  const chunkBytes = <usize>w.chunkBytes;
  const last = scales + <usize>w.chunks * 4;
  let total0 = f32x4.splat(0);
  let total1 = f32x4.splat(0);
  for (; scales < last; scales += 4) {
    const end = at + codeBytes;
    let a0 = firstSum(w, end, 0, shifts);
    let a1 = firstSum(w, end, 4, shifts);
    do {
      const stop = min(at + exactBytes8, end);
      let low0 = i16x8.splat(0);
      let low1 = i16x8.splat(0);
      let high0 = i16x8.splat(0);
      let high1 = i16x8.splat(0);
      do {
        const value = v128.load32_splat(x);
        const w0 = v128.load(at);
        const w1 = v128.load(at, 16);
        low0 = i16x8.add(low0, products(value, v128.and(w0, mask)));
        low1 = i16x8.add(low1, products(value, v128.and(w1, mask)));
        high0 = i16x8.add(high0, products(value, v128.and(i16x8.shr_u(w0, 4), mask)));
        high1 = i16x8.add(high1, products(value, v128.and(i16x8.shr_u(w1, 4), mask)));
        at += 32;
        x += 4;
      } while (at < stop);
      a0 = i32x4.add(a0, i32x4.add(i32x4.dot_i16x8_s(low0, one), i32x4.dot_i16x8_s(high0, sixteen)));
      a1 = i32x4.add(a1, i32x4.add(i32x4.dot_i16x8_s(low1, one), i32x4.dot_i16x8_s(high1, sixteen)));
    } while (at < end);
    const by = v128.load32_splat(scales);
    total0 = f32x4.add(total0, scaled(w, a0, end, 0, by));
    total1 = f32x4.add(total1, scaled(w, a1, end, 1, by));
    at += chunkBytes - codeBytes;
    shifts += 4;
  }
  v128.store(to, total0);
  v128.store(to, total1, 16);
}

/** The products of a whole chunk, 128 of at most 3·127 in two lanes, add up in 16 bits. */
function block2(w: PackedCodes, at: usize, x: usize, scales: usize, shifts: usize, to: usize): void {
  const mask = v128.load(pairs);
  const one = v128.load(ones);
  const codeBytes = <usize>w.length * 2;
  const chunkBytes = <usize>w.chunkBytes;
  const last = scales + <usize>w.chunks * 4;
  let total0 = f32x4.splat(0);
  let total1 = f32x4.splat(0);
  for (; scales < last; scales += 4) {
    const end = at + codeBytes;
    let s0 = i16x8.splat(0);
    let s1 = i16x8.splat(0);
    do {
      const w0 = v128.load(at);
      const w1 = v128.load(at, 16);
      const x0 = v128.load32_splat(x);
      const x1 = v128.load32_splat(x, 4);
      const x2 = v128.load32_splat(x, 8);
      const x3 = v128.load32_splat(x, 12);
      s0 = i16x8.add(s0, i16x8.add(products(x0, v128.and(w0, mask)), products(x1, v128.and(i16x8.shr_u(w0, 2), mask))));
      s1 = i16x8.add(s1, i16x8.add(products(x0, v128.and(w1, mask)), products(x1, v128.and(i16x8.shr_u(w1, 2), mask))));
      s0 = i16x8.add(s0, i16x8.add(products(x2, v128.and(i16x8.shr_u(w0, 4), mask)), products(x3, v128.and(i16x8.shr_u(w0, 6), mask))));
      s1 = i16x8.add(s1, i16x8.add(products(x2, v128.and(i16x8.shr_u(w1, 4), mask)), products(x3, v128.and(i16x8.shr_u(w1, 6), mask))));
      at += 32;
      x += 16;
    } while (at < end);
    const a0 = i32x4.add(firstSum(w, end, 0, shifts), i32x4.dot_i16x8_s(s0, one));
    const a1 = i32x4.add(firstSum(w, end, 4, shifts), i32x4.dot_i16x8_s(s1, one));
    const by = v128.load32_splat(scales);
    total0 = f32x4.add(total0, scaled(w, a0, end, 0, by));
    total1 = f32x4.add(total1, scaled(w, a1, end, 1, by));
    at += chunkBytes - codeBytes;
    shifts += 4;
  }
  v128.store(to, total0);
  v128.store(to, total1, 16);
}
