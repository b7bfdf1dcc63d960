// x·wᵀ + bias by codes for few rows of x (decoding): integer products of codes and rounded activations, one float32 multiplication per chunk. Each block of
// weights is read once from memory, and for further rows of x from the first-level cache.
//
// Codes are masked where they stand, so that products come out 2, 4 … times too large: each place has a sum of its own. Loop bodies are short, since
// V8 puts all loads of a body first and has sixteen registers; masks come from memory, since it would make constants anew in the loop.

import { blockRows } from '../src/control';
import { integer, pointer } from './argument';
import { nibbleMask } from './byte-products';
import { blockOfBytes } from './multiply-bytes-rows';
import { storeRows } from './multiply-codes';
import { blockOfSplit } from './multiply-split-rows';
import { based, firstSum, PackedCodes, pair, scaled } from './packed-codes';
import { lookup } from './shuffles';

/** Arguments: packed weight; values, scales and shifts of x (quantize-activations.ts); out, bias or 0; m, blocks per task. Scratch: a block of results. */
export function multiplyCodesRows(task: i32, scratch: usize): void {
  const w = changetype<PackedCodes>(pointer(0));
  const out = pointer(4);
  const bias = pointer(5);
  const m = integer(6);
  const share = integer(7);
  const last = min((w.rows + blockRows - 1) / blockRows, (task + 1) * share);
  for (let block = task * share; block < last; block++) {
    for (let i = 0; i < m; i++) {
      const at = <usize>(i * w.chunks);
      const values = pointer(1) + at * w.valueBytes;
      const scales = pointer(2) + at * 4;
      const shifts = pointer(3) + at * 4;
      if (w.bytes) blockOfBytes(w, w.block(block), values, scales, shifts, scratch);
      else if (w.ownLevels) blockOfLevels(w, w.block(block), values, scales, shifts, scratch);
      else if (w.bits === 2) block2(w, w.block(block), values, scales, shifts, scratch);
      else if (w.bits === 4) block4(w, w.block(block), values, scales, shifts, scratch);
      else if (w.bits === 8) block8(w, w.block(block), values, scales, shifts, scratch);
      else blockOfSplit(w, w.block(block), values, scales, shifts, scratch);
      storeRows(w, block, scratch, out + <usize>i * <usize>w.rows * 4, bias);
    }
  }
}

const masks2 = memory.data<i32>(
  [
    0x00030003, 0x00030003, 0x00030003, 0x00030003, 0x000c000c, 0x000c000c, 0x000c000c, 0x000c000c, 0x00300030, 0x00300030, 0x00300030,
    0x00300030, 0x00c000c0, 0x00c000c0, 0x00c000c0, 0x00c000c0,
  ],
  16,
);
const masks4 = memory.data<i32>([0x000f000f, 0x000f000f, 0x000f000f, 0x000f000f, 0x00f000f0, 0x00f000f0, 0x00f000f0, 0x00f000f0], 16);
const mask8 = memory.data<i32>([0x00ff00ff, 0x00ff00ff, 0x00ff00ff, 0x00ff00ff], 16);

/** One block of rows with one row of x → the eight floats at `to`. 32 bytes of codes are 8 inputs. */
function block4(w: PackedCodes, at: usize, x: usize, scales: usize, shifts: usize, to: usize): void {
  const low = v128.load(masks4);
  const high = v128.load(masks4, 16);
  const codeBytes = <usize>w.codeBytes;
  const chunkBytes = <usize>w.chunkBytes;
  const last = scales + <usize>w.chunks * 4;
  let total0 = f32x4.splat(0);
  let total1 = f32x4.splat(0);
  for (; scales < last; scales += 4) {
    const end = at + codeBytes;
    let a0 = firstSum(w, end, 0, shifts);
    let a1 = firstSum(w, end, 4, shifts);
    let b0 = i32x4.splat(0);
    let b1 = i32x4.splat(0);
    do {
      const w0 = v128.load(at);
      const w1 = v128.load(at, 16);
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
      at += 32;
      x += 16;
    } while (at < end);
    const by = v128.load32_splat(scales);
    total0 = f32x4.add(total0, scaled(w, i32x4.add(a0, i32x4.shr_s(b0, 4)), end, 0, by));
    total1 = f32x4.add(total1, scaled(w, i32x4.add(a1, i32x4.shr_s(b1, 4)), end, 1, by));
    total0 = based(w, total0, end, 0, shifts, by);
    total1 = based(w, total1, end, 1, shifts, by);
    at += chunkBytes - codeBytes;
    shifts += 4;
  }
  v128.store(to, total0);
  v128.store(to, total1, 16);
}

/** The same where 32 bytes of codes are 4 inputs. */
function block8(w: PackedCodes, at: usize, x: usize, scales: usize, shifts: usize, to: usize): void {
  const low = v128.load(mask8);
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
      const w0 = v128.load(at);
      const w1 = v128.load(at, 16);
      const x0 = v128.load32_splat(x);
      const x1 = v128.load32_splat(x, 4);
      a0 = i32x4.add(a0, i32x4.add(i32x4.dot_i16x8_s(v128.and(w0, low), x0), i32x4.dot_i16x8_s(i16x8.shr_u(w0, 8), x1)));
      a1 = i32x4.add(a1, i32x4.add(i32x4.dot_i16x8_s(v128.and(w1, low), x0), i32x4.dot_i16x8_s(i16x8.shr_u(w1, 8), x1)));
      at += 32;
      x += 8;
    } while (at < end);
    const by = v128.load32_splat(scales);
    total0 = f32x4.add(total0, scaled(w, a0, end, 0, by));
    total1 = f32x4.add(total1, scaled(w, a1, end, 1, by));
    total0 = based(w, total0, end, 0, shifts, by);
    total1 = based(w, total1, end, 1, shifts, by);
    at += chunkBytes - codeBytes;
    shifts += 4;
  }
  v128.store(to, total0);
  v128.store(to, total1, 16);
}

/** The same where codes of 4 bits name levels, which are bytes. */
function blockOfLevels(w: PackedCodes, at: usize, x: usize, scales: usize, shifts: usize, to: usize): void {
  const table = w.table;
  const nibble = v128.load(nibbleMask);
  const low = v128.load(mask8);
  const codeBytes = <usize>w.codeBytes;
  const chunkBytes = <usize>w.chunkBytes;
  const last = scales + <usize>w.chunks * 4;
  let total0 = f32x4.splat(0);
  let total1 = f32x4.splat(0);
  for (; scales < last; scales += 4) {
    const end = at + codeBytes;
    let a0 = firstSum(w, end, 0, shifts);
    let a1 = firstSum(w, end, 4, shifts);
    let b0 = i32x4.splat(0);
    let b1 = i32x4.splat(0);
    do {
      const w0 = v128.load(at);
      const w1 = v128.load(at, 16);
      const x0 = v128.load32_splat(x);
      const x1 = v128.load32_splat(x, 4);
      const x2 = v128.load32_splat(x, 8);
      const x3 = v128.load32_splat(x, 12);
      const even0 = lookup(table, v128.and(w0, nibble));
      const even1 = lookup(table, v128.and(w1, nibble));
      a0 = i32x4.add(a0, bytePair(even0, x0, x2, low));
      a1 = i32x4.add(a1, bytePair(even1, x0, x2, low));
      const odd0 = lookup(table, v128.and(i16x8.shr_u(w0, 4), nibble));
      const odd1 = lookup(table, v128.and(i16x8.shr_u(w1, 4), nibble));
      b0 = i32x4.add(b0, bytePair(odd0, x1, x3, low));
      b1 = i32x4.add(b1, bytePair(odd1, x1, x3, low));
      at += 32;
      x += 16;
    } while (at < end);
    const by = v128.load32_splat(scales);
    total0 = f32x4.add(total0, scaled(w, i32x4.add(a0, b0), end, 0, by));
    total1 = f32x4.add(total1, scaled(w, i32x4.add(a1, b1), end, 1, by));
    total0 = based(w, total0, end, 0, shifts, by);
    total1 = based(w, total1, end, 1, shifts, by);
    at += chunkBytes - codeBytes;
    shifts += 4;
  }
  v128.store(to, total0);
  v128.store(to, total1, 16);
}

/** Products of the lower and of the upper bytes of 16 bits. */
function bytePair(bytes: v128, x: v128, y: v128, low: v128): v128 {
  return i32x4.add(i32x4.dot_i16x8_s(v128.and(bytes, low), x), i32x4.dot_i16x8_s(i16x8.shr_u(bytes, 8), y));
}

/** The same where 32 bytes of codes are 16 inputs: four rows at a time, for want of registers. */
function block2(w: PackedCodes, at: usize, x: usize, scales: usize, shifts: usize, to: usize): void {
  fourRows2(w, at, 0, x, scales, shifts, to);
  fourRows2(w, at, 1, x, scales, shifts, to + 16);
}

function fourRows2(w: PackedCodes, block: usize, half: usize, x: usize, scales: usize, shifts: usize, to: usize): void {
  const mask0 = v128.load(masks2);
  const mask1 = v128.load(masks2, 16);
  const mask2 = v128.load(masks2, 32);
  const mask3 = v128.load(masks2, 48);
  const codeBytes = <usize>w.codeBytes;
  const last = scales + <usize>w.chunks * 4;
  let total = f32x4.splat(0);
  for (; scales < last; scales += 4) {
    const end = block + codeBytes;
    let a = firstSum(w, end, half * 4, shifts);
    let b = i32x4.splat(0);
    let c = i32x4.splat(0);
    let d = i32x4.splat(0);
    for (let at = block; at < end; at += 32, x += 32) {
      const low = v128.load(at + half * 16);
      const high = i16x8.shr_u(low, 8);
      a = i32x4.add(a, pair(low, v128.load32_splat(x), high, v128.load32_splat(x, 16), mask0));
      b = i32x4.add(b, pair(low, v128.load32_splat(x, 4), high, v128.load32_splat(x, 20), mask1));
      c = i32x4.add(c, pair(low, v128.load32_splat(x, 8), high, v128.load32_splat(x, 24), mask2));
      d = i32x4.add(d, pair(low, v128.load32_splat(x, 12), high, v128.load32_splat(x, 28), mask3));
    }
    const even = i32x4.add(a, i32x4.shr_s(c, 4));
    const odd = i32x4.add(i32x4.shr_s(b, 2), i32x4.shr_s(d, 6));
    const by = v128.load32_splat(scales);
    total = based(w, f32x4.add(total, scaled(w, i32x4.add(even, odd), end, half, by)), end, half, shifts, by);
    block += <usize>w.chunkBytes;
    shifts += 4;
  }
  v128.store(to, total);
}
