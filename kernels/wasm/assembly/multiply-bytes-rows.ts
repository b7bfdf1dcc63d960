// As multiply-codes-rows.ts, where activations are bytes (byte-products.ts).

import { nibbleMask, ones, products } from './byte-products';
import { further3, wordBytes } from './code-places';
import { firstSum, PackedCodes, scaled } from './packed-codes';

/** Bytes of codes whose products add up in 16 bits: of 4 bits, eight times two products of at most 15·127; of 3 bits, sixteen times two of at most 7·127. */
const exactBytes = 128;
const exactBytes3 = 256;

const triples = memory.data<i32>([0x07070707, 0x07070707, 0x07070707, 0x07070707], 16);
const pairs = memory.data<i32>([0x03030303, 0x03030303, 0x03030303, 0x03030303], 16);

/** One block of rows with one row of x → the eight floats at `to`. */
export function blockOfBytes(w: PackedCodes, at: usize, x: usize, scales: usize, shifts: usize, to: usize): void {
  if (!ASC_FEATURE_RELAXED_SIMD) return;
  if (w.bits === 4) block4(w, at, x, scales, shifts, to);
  else if (w.bits === 3) block3(w, at, x, scales, shifts, to);
  else block2(w, at, x, scales, shifts, to);
}

function block4(w: PackedCodes, at: usize, x: usize, scales: usize, shifts: usize, to: usize): void {
  const mask = v128.load(nibbleMask);
  const one = v128.load(ones);
  const codeBytes = <usize>w.codeBytes;
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

function block3(w: PackedCodes, at: usize, x: usize, scales: usize, shifts: usize, to: usize): void {
  const mask = v128.load(triples);
  const one = v128.load(ones);
  const codeBytes = <usize>w.codeBytes;
  const chunkBytes = <usize>w.chunkBytes;
  const last = scales + <usize>w.chunks * 4;
  let total0 = f32x4.splat(0);
  let total1 = f32x4.splat(0);
  for (; scales < last; scales += 4) {
    const end = at + codeBytes;
    const next = x + <usize>w.length;
    let word = at;
    let a0 = firstSum(w, end, 0, shifts);
    let a1 = firstSum(w, end, 4, shifts);
    let s0 = i16x8.splat(0);
    let s1 = i16x8.splat(0);
    do {
      const stop = min(word + exactBytes3, end);
      do {
        const low = v128.load32_splat(x);
        const high = v128.load32_splat(x, 4);
        const w0 = v128.load(word);
        const w1 = v128.load(word, 16);
        s0 = i16x8.add(s0, i16x8.add(products(low, v128.and(w0, mask)), products(high, v128.and(i16x8.shr_u(w0, 3), mask))));
        s1 = i16x8.add(s1, i16x8.add(products(low, v128.and(w1, mask)), products(high, v128.and(i16x8.shr_u(w1, 3), mask))));
        word += wordBytes;
        x += 8;
      } while (word < stop);
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(s0, one));
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(s1, one));
      s0 = i16x8.splat(0);
      s1 = i16x8.splat(0);
    } while (word < end);
    for (; x < next; at += 3 * wordBytes, x += 8) {
      const low = v128.load32_splat(x);
      const high = v128.load32_splat(x, 4);
      const w0 = further3(at);
      const w1 = further3(at + 16);
      s0 = i16x8.add(s0, i16x8.add(products(low, v128.and(w0, mask)), products(high, v128.and(i16x8.shr_u(w0, 3), mask))));
      s1 = i16x8.add(s1, i16x8.add(products(low, v128.and(w1, mask)), products(high, v128.and(i16x8.shr_u(w1, 3), mask))));
    }
    a0 = i32x4.add(a0, i32x4.dot_i16x8_s(s0, one));
    a1 = i32x4.add(a1, i32x4.dot_i16x8_s(s1, one));
    const by = v128.load32_splat(scales);
    total0 = f32x4.add(total0, scaled(w, a0, end, 0, by));
    total1 = f32x4.add(total1, scaled(w, a1, end, 1, by));
    at = end + chunkBytes - codeBytes;
    shifts += 4;
  }
  v128.store(to, total0);
  v128.store(to, total1, 16);
}

/** The products of a whole chunk, 128 of at most 3·127 in two lanes, add up in 16 bits. */
function block2(w: PackedCodes, at: usize, x: usize, scales: usize, shifts: usize, to: usize): void {
  const mask = v128.load(pairs);
  const one = v128.load(ones);
  const codeBytes = <usize>w.codeBytes;
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
