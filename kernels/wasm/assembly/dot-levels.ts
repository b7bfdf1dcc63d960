// Σ x·ŵ over a whole row of packed levels, decoded in registers, for rows whose spans are multiples of sixteen.

import { nibbleMask } from './byte-products';
import { PackedLevels } from './packed-levels';
import { biasE4m3, biasE5m2, maskE4m3, maskE5m2, shiftE4m3, shiftE5m2 } from './short-floats';
import { highBytes, highPairs, lookup, lowBytes, lowPairs } from './shuffles';
import { madd, sum } from './vector';

export function dotNibbles(w: PackedLevels, row: i32, x: usize): f32 {
  const mask = v128.load(nibbleMask);
  const scaleStride = w.scaleStride;
  const tableStride = w.tableStride;
  const spanBytes = <usize>w.span * 4;
  const last = x + <usize>w.cols * 4;
  let codes = w.codesAt(row, 0);
  let scale = w.scaleAt(row, 0);
  let planes = w.tableAt(row, 0);
  let plane0 = v128.load(planes);
  let plane1 = v128.load(planes, 16);
  let plane2 = v128.load(planes, 32);
  let plane3 = v128.load(planes, 48);
  let total = f32x4.splat(0);
  while (x < last) {
    const end = min(last, x + spanBytes);
    let a = f32x4.splat(0);
    let b = f32x4.splat(0);
    let c = f32x4.splat(0);
    let d = f32x4.splat(0);
    do {
      const pairs = v128.load64_zero(codes);
      const places = lowBytes(v128.and(pairs, mask), v128.and(i16x8.shr_u(pairs, 4), mask));
      const bytes0 = lookup(plane0, places);
      const bytes1 = lookup(plane1, places);
      const bytes2 = lookup(plane2, places);
      const bytes3 = lookup(plane3, places);
      const low01 = lowBytes(bytes0, bytes1);
      const low23 = lowBytes(bytes2, bytes3);
      a = madd(v128.load(x), lowPairs(low01, low23), a);
      b = madd(v128.load(x, 16), highPairs(low01, low23), b);
      const high01 = highBytes(bytes0, bytes1);
      const high23 = highBytes(bytes2, bytes3);
      c = madd(v128.load(x, 32), lowPairs(high01, high23), c);
      d = madd(v128.load(x, 48), highPairs(high01, high23), d);
      codes += 8;
      x += 64;
    } while (x < end);
    total = madd(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)), v128.load32_splat(scale), total);
    scale += scaleStride;
    if (tableStride === 0) continue;
    planes += tableStride;
    plane0 = v128.load(planes);
    plane1 = v128.load(planes, 16);
    plane2 = v128.load(planes, 32);
    plane3 = v128.load(planes, 48);
  }
  return sum(total);
}

/** Levels are looked up one by one. */
export function dotBytes(w: PackedLevels, row: i32, x: usize): f32 {
  const scaleStride = w.scaleStride;
  const tableStride = w.tableStride;
  const spanBytes = <usize>w.span * 4;
  const last = x + <usize>w.cols * 4;
  let codes = w.codesAt(row, 0);
  let scale = w.scaleAt(row, 0);
  let table = w.tableAt(row, 0);
  let total = f32x4.splat(0);
  while (x < last) {
    const end = min(last, x + spanBytes);
    let a = f32x4.splat(0);
    let b = f32x4.splat(0);
    do {
      a = madd(v128.load(x), fourLevels(table, load<u32>(codes)), a);
      b = madd(v128.load(x, 16), fourLevels(table, load<u32>(codes, 4)), b);
      codes += 8;
      x += 32;
    } while (x < end);
    total = madd(f32x4.add(a, b), v128.load32_splat(scale), total);
    scale += scaleStride;
    table += tableStride;
  }
  return sum(total);
}

/** Of the four codes in a word. */
function fourLevels(table: usize, codes: u32): v128 {
  let levels = v128.load32_zero(table + ((codes & 0xff) << 2));
  levels = v128.load32_lane(table + ((codes >> 6) & 0x3fc), levels, 1);
  levels = v128.load32_lane(table + ((codes >> 14) & 0x3fc), levels, 2);
  return v128.load32_lane(table + ((codes >> 22) & 0x3fc), levels, 3);
}

export function dotE4m3(w: PackedLevels, row: i32, x: usize): f32 {
  return SmallFloats.dot(w, row, x, shiftE4m3, maskE4m3, biasE4m3);
}

export function dotE5m2(w: PackedLevels, row: i32, x: usize): f32 {
  return SmallFloats.dot(w, row, x, shiftE5m2, maskE5m2, biasE5m2);
}

class SmallFloats {
  /** Floats of 8 bits, as short-floats.ts has them. */
  @inline
  static dot(w: PackedLevels, row: i32, x: usize, shift: i32, bits: i16, bias: f32): f32 {
    const zero = i32x4.splat(0);
    const mask = i16x8.splat(bits);
    const exponent = f32x4.splat(bias);
    const scaleStride = w.scaleStride;
    const spanBytes = <usize>w.span * 4;
    const last = x + <usize>w.cols * 4;
    let codes = w.codesAt(row, 0);
    let scale = w.scaleAt(row, 0);
    let total = f32x4.splat(0);
    while (x < last) {
      const end = min(last, x + spanBytes);
      let a = f32x4.splat(0);
      let b = f32x4.splat(0);
      let c = f32x4.splat(0);
      let d = f32x4.splat(0);
      do {
        const all = v128.load(codes);
        const low = v128.and(i16x8.shr_s(lowBytes(zero, all), shift), mask);
        const high = v128.and(i16x8.shr_s(highBytes(zero, all), shift), mask);
        a = madd(v128.load(x), f32x4.mul(lowPairs(zero, low), exponent), a);
        b = madd(v128.load(x, 16), f32x4.mul(highPairs(zero, low), exponent), b);
        c = madd(v128.load(x, 32), f32x4.mul(lowPairs(zero, high), exponent), c);
        d = madd(v128.load(x, 48), f32x4.mul(highPairs(zero, high), exponent), d);
        codes += 16;
        x += 64;
      } while (x < end);
      total = madd(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)), v128.load32_splat(scale), total);
      scale += scaleStride;
    }
    return sum(total);
  }
}
