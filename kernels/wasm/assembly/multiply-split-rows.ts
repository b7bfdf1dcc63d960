// As multiply-codes-rows.ts, for the widths whose spare bits are further words (code-places.ts). Further words are put together again from the first-level cache,
// where their parts are by then: beside the others' loop there would be no registers for them.

import { further3, wordBytes } from './code-places';
import { based, firstSum, PackedCodes, pair, scaled } from './packed-codes';

const masks3 = memory.data<i32>([0x00070007, 0x00070007, 0x00070007, 0x00070007, 0x00380038, 0x00380038, 0x00380038, 0x00380038], 16);
const masks5 = memory.data<i32>([0x001f001f, 0x001f001f, 0x001f001f, 0x001f001f, 0x03e003e0, 0x03e003e0, 0x03e003e0, 0x03e003e0], 16);
const spare5 = memory.data<i32>([0x04000400, 0x04000400, 0x04000400, 0x04000400], 16);
const mask6 = memory.data<i32>([0x03f003f0, 0x03f003f0, 0x03f003f0, 0x03f003f0], 16);
const spare6 = memory.data<i32>([0x000f000f, 0x000f000f, 0x000f000f, 0x000f000f], 16);
const furtherMask6 = memory.data<i32>([0x003f003f, 0x003f003f, 0x003f003f, 0x003f003f], 16);

/** One block of rows with one row of x → the eight floats at `to`. */
export function blockOfSplit(w: PackedCodes, at: usize, x: usize, scales: usize, shifts: usize, to: usize): void {
  if (w.bits === 3) block3(w, at, x, scales, shifts, to);
  else if (w.bits === 5) block5(w, at, x, scales, shifts, to);
  else block6(w, at, x, scales, shifts, to);
}

function block3(w: PackedCodes, at: usize, x: usize, scales: usize, shifts: usize, to: usize): void {
  const low = v128.load(masks3);
  const high = v128.load(masks3, 16);
  const codeBytes = <usize>w.codeBytes;
  const chunkBytes = <usize>w.chunkBytes;
  const last = scales + <usize>w.chunks * 4;
  let total0 = f32x4.splat(0);
  let total1 = f32x4.splat(0);
  for (; scales < last; scales += 4) {
    const end = at + codeBytes;
    const next = x + <usize>w.length * 2;
    let word = at;
    let a0 = firstSum(w, end, 0, shifts);
    let a1 = firstSum(w, end, 4, shifts);
    let b0 = i32x4.splat(0);
    let b1 = i32x4.splat(0);
    do {
      const w0 = v128.load(word);
      const w1 = v128.load(word, 16);
      const x0 = v128.load32_splat(x);
      const x1 = v128.load32_splat(x, 4);
      const x2 = v128.load32_splat(x, 8);
      const x3 = v128.load32_splat(x, 12);
      const h0 = i16x8.shr_u(w0, 8);
      const h1 = i16x8.shr_u(w1, 8);
      a0 = i32x4.add(a0, pair(w0, x0, h0, x2, low));
      b0 = i32x4.add(b0, pair(w0, x1, h0, x3, high));
      a1 = i32x4.add(a1, pair(w1, x0, h1, x2, low));
      b1 = i32x4.add(b1, pair(w1, x1, h1, x3, high));
      word += wordBytes;
      x += 16;
    } while (word < end);
    for (; x < next; at += 3 * wordBytes, x += 16) {
      const w0 = further3(at);
      const w1 = further3(at + 16);
      const x0 = v128.load32_splat(x);
      const x1 = v128.load32_splat(x, 4);
      const x2 = v128.load32_splat(x, 8);
      const x3 = v128.load32_splat(x, 12);
      const h0 = i16x8.shr_u(w0, 8);
      const h1 = i16x8.shr_u(w1, 8);
      a0 = i32x4.add(a0, pair(w0, x0, h0, x2, low));
      b0 = i32x4.add(b0, pair(w0, x1, h0, x3, high));
      a1 = i32x4.add(a1, pair(w1, x0, h1, x2, low));
      b1 = i32x4.add(b1, pair(w1, x1, h1, x3, high));
    }
    const by = v128.load32_splat(scales);
    total0 = f32x4.add(total0, scaled(w, i32x4.add(a0, i32x4.shr_s(b0, 3)), end, 0, by));
    total1 = f32x4.add(total1, scaled(w, i32x4.add(a1, i32x4.shr_s(b1, 3)), end, 1, by));
    total0 = based(w, total0, end, 0, shifts, by);
    total1 = based(w, total1, end, 1, shifts, by);
    at = end + chunkBytes - codeBytes;
    shifts += 4;
  }
  v128.store(to, total0);
  v128.store(to, total1, 16);
}

/** Half a run, of 16 inputs, has a pair too many in its words: its codes are 0, whatever x is there. */
function block5(w: PackedCodes, at: usize, x: usize, scales: usize, shifts: usize, to: usize): void {
  const low = v128.load(masks5);
  const high = v128.load(masks5, 16);
  const codeBytes = <usize>w.codeBytes;
  const chunkBytes = <usize>w.chunkBytes;
  const last = scales + <usize>w.chunks * 4;
  let total0 = f32x4.splat(0);
  let total1 = f32x4.splat(0);
  for (; scales < last; scales += 4) {
    const end = at + codeBytes;
    const next = x + <usize>w.length * 2;
    let word = at;
    let a0 = firstSum(w, end, 0, shifts);
    let a1 = firstSum(w, end, 4, shifts);
    let b0 = i32x4.splat(0);
    let b1 = i32x4.splat(0);
    do {
      const w0 = v128.load(word);
      const w1 = v128.load(word, 16);
      const x0 = v128.load32_splat(x);
      const x1 = v128.load32_splat(x, 4);
      const x2 = v128.load32_splat(x, 8);
      a0 = i32x4.add(a0, i32x4.add(i32x4.dot_i16x8_s(v128.and(w0, low), x0), i32x4.dot_i16x8_s(i16x8.shr_u(w0, 11), x2)));
      a1 = i32x4.add(a1, i32x4.add(i32x4.dot_i16x8_s(v128.and(w1, low), x0), i32x4.dot_i16x8_s(i16x8.shr_u(w1, 11), x2)));
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(v128.and(w0, high), x1));
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(v128.and(w1, high), x1));
      word += wordBytes;
      x += 12;
    } while (word < end);
    for (; x < next; at += 5 * wordBytes, x += 4) {
      const value = v128.load32_splat(x);
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(further5(at), value));
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(further5(at + 16), value));
    }
    const by = v128.load32_splat(scales);
    total0 = f32x4.add(total0, scaled(w, i32x4.add(a0, i32x4.shr_s(b0, 5)), end, 0, by));
    total1 = f32x4.add(total1, scaled(w, i32x4.add(a1, i32x4.shr_s(b1, 5)), end, 1, by));
    total0 = based(w, total0, end, 0, shifts, by);
    total1 = based(w, total1, end, 1, shifts, by);
    at = end + chunkBytes - codeBytes;
    x = next;
    shifts += 4;
  }
  v128.store(to, total0);
  v128.store(to, total1, 16);
}

/** 32 times as large, as the codes of `high` are. */
function further5(at: usize): v128 {
  const spare = v128.load(spare5);
  let bits = v128.and(v128.load(at), spare);
  bits = v128.or(i16x8.shr_u(bits, 1), v128.and(v128.load(at + wordBytes), spare));
  bits = v128.or(i16x8.shr_u(bits, 1), v128.and(v128.load(at + 2 * wordBytes), spare));
  bits = v128.or(i16x8.shr_u(bits, 1), v128.and(v128.load(at + 3 * wordBytes), spare));
  bits = v128.or(i16x8.shr_u(bits, 1), v128.and(v128.load(at + 4 * wordBytes), spare));
  return i16x8.shr_u(bits, 1);
}

/** A further word after each three others: a chunk of 16 inputs has no more. */
function block6(w: PackedCodes, at: usize, x: usize, scales: usize, shifts: usize, to: usize): void {
  const lower = v128.load(mask6);
  const further = v128.load(furtherMask6);
  const codeBytes = <usize>w.codeBytes;
  const chunkBytes = <usize>w.chunkBytes;
  const last = scales + <usize>w.chunks * 4;
  let total0 = f32x4.splat(0);
  let total1 = f32x4.splat(0);
  for (; scales < last; scales += 4) {
    const end = at + codeBytes;
    // x of the further words.
    let y = x + codeBytes / 4;
    let a0 = firstSum(w, end, 0, shifts);
    let a1 = firstSum(w, end, 4, shifts);
    let b0 = i32x4.splat(0);
    let b1 = i32x4.splat(0);
    do {
      const stop = at + 3 * wordBytes;
      do {
        const w0 = v128.load(at);
        const w1 = v128.load(at, 16);
        const x0 = v128.load32_splat(x);
        const x1 = v128.load32_splat(x, 4);
        a0 = i32x4.add(a0, i32x4.dot_i16x8_s(i16x8.shr_u(w0, 10), x1));
        a1 = i32x4.add(a1, i32x4.dot_i16x8_s(i16x8.shr_u(w1, 10), x1));
        b0 = i32x4.add(b0, i32x4.dot_i16x8_s(v128.and(w0, lower), x0));
        b1 = i32x4.add(b1, i32x4.dot_i16x8_s(v128.and(w1, lower), x0));
        at += wordBytes;
        x += 8;
      } while (at < stop);
      const w0 = further6(at - 3 * wordBytes);
      const w1 = further6(at - 3 * wordBytes + 16);
      const y0 = v128.load32_splat(y);
      const y1 = v128.load32_splat(y, 4);
      a0 = i32x4.add(a0, i32x4.add(i32x4.dot_i16x8_s(v128.and(w0, further), y0), i32x4.dot_i16x8_s(i16x8.shr_u(w0, 6), y1)));
      a1 = i32x4.add(a1, i32x4.add(i32x4.dot_i16x8_s(v128.and(w1, further), y0), i32x4.dot_i16x8_s(i16x8.shr_u(w1, 6), y1)));
      y += 8;
    } while (at < end);
    const by = v128.load32_splat(scales);
    total0 = f32x4.add(total0, scaled(w, i32x4.add(a0, i32x4.shr_s(b0, 4)), end, 0, by));
    total1 = f32x4.add(total1, scaled(w, i32x4.add(a1, i32x4.shr_s(b1, 4)), end, 1, by));
    total0 = based(w, total0, end, 0, shifts, by);
    total1 = based(w, total1, end, 1, shifts, by);
    at += chunkBytes - codeBytes;
    x = y;
    shifts += 4;
  }
  v128.store(to, total0);
  v128.store(to, total1, 16);
}

/** Codes from bit 0 on, where words have four spare bits first. */
function further6(at: usize): v128 {
  const spare = v128.load(spare6);
  const first = i16x8.shl(v128.and(v128.load(at), spare), 4);
  const two = i16x8.shl(v128.or(first, v128.and(v128.load(at + wordBytes), spare)), 4);
  return v128.or(two, v128.and(v128.load(at + 2 * wordBytes), spare));
}
