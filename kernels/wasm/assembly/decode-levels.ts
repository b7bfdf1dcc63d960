// Runs of a row of packed levels as float32: `count` values at `to`, written sixteen at a time, so that up to fifteen more are written behind them.

import { codingBytes, codingE4m3, codingNibbles } from '../src/control';
import { nibbleMask } from './byte-products';
import { PackedLevels } from './packed-levels';
import { biasE4m3, biasE5m2, maskE4m3, maskE5m2, shiftE4m3, shiftE5m2 } from './short-floats';
import { highBytes, highPairs, lookup, lowBytes, lowPairs } from './shuffles';

/** The run of inputs from `first` on (PackedLevels.run). */
export function decodeRun(w: PackedLevels, row: i32, first: i32, count: i32, to: usize): void {
  const coding = w.coding;
  let codes = w.codesAt(row, first);
  let scale = w.scaleAt(row, first);
  let table = w.tableAt(row, first);
  for (const last = to + <usize>count * 4; to < last; ) {
    const end = min(last, to + <usize>w.span * 4);
    const by = v128.load32_splat(scale);
    if (coding === codingNibbles) nibbles(codes, table, by, to, end);
    else if (coding === codingE4m3) SmallFloats.decode(codes, shiftE4m3, maskE4m3, biasE4m3, by, to, end);
    else if (coding === codingBytes) bytes(codes, table, load<f32>(scale), to, end);
    else SmallFloats.decode(codes, shiftE5m2, maskE5m2, biasE5m2, by, to, end);
    to = end;
    codes += w.spanBytes;
    scale += w.scaleStride;
    table += w.tableStride;
  }
}

function nibbles(codes: usize, planes: usize, by: v128, to: usize, end: usize): void {
  const mask = v128.load(nibbleMask);
  const plane0 = v128.load(planes);
  const plane1 = v128.load(planes, 16);
  const plane2 = v128.load(planes, 32);
  const plane3 = v128.load(planes, 48);
  for (; to < end; to += 64, codes += 8) {
    const pairs = v128.load64_zero(codes);
    const places = lowBytes(v128.and(pairs, mask), v128.and(i16x8.shr_u(pairs, 4), mask));
    const bytes0 = lookup(plane0, places);
    const bytes1 = lookup(plane1, places);
    const bytes2 = lookup(plane2, places);
    const bytes3 = lookup(plane3, places);
    const low01 = lowBytes(bytes0, bytes1);
    const low23 = lowBytes(bytes2, bytes3);
    v128.store(to, f32x4.mul(lowPairs(low01, low23), by));
    v128.store(to, f32x4.mul(highPairs(low01, low23), by), 16);
    const high01 = highBytes(bytes0, bytes1);
    const high23 = highBytes(bytes2, bytes3);
    v128.store(to, f32x4.mul(lowPairs(high01, high23), by), 32);
    v128.store(to, f32x4.mul(highPairs(high01, high23), by), 48);
  }
}

/** By a table of any length. */
function bytes(codes: usize, table: usize, scale: f32, to: usize, end: usize): void {
  for (; to < end; codes++, to += 4) store<f32>(to, load<f32>(table + ((<usize>load<u8>(codes)) << 2)) * scale);
}

class SmallFloats {
  /** Floats of 8 bits, as short-floats.ts has them. */
  @inline
  static decode(codes: usize, shift: i32, bits: i16, bias: f32, by: v128, to: usize, end: usize): void {
    const zero = i32x4.splat(0);
    const mask = i16x8.splat(bits);
    const exponent = f32x4.splat(bias);
    for (; to < end; to += 64, codes += 16) {
      const all = v128.load(codes);
      const low = v128.and(i16x8.shr_s(lowBytes(zero, all), shift), mask);
      const high = v128.and(i16x8.shr_s(highBytes(zero, all), shift), mask);
      v128.store(to, f32x4.mul(f32x4.mul(lowPairs(zero, low), exponent), by));
      v128.store(to, f32x4.mul(f32x4.mul(highPairs(zero, low), exponent), by), 16);
      v128.store(to, f32x4.mul(f32x4.mul(lowPairs(zero, high), exponent), by), 32);
      v128.store(to, f32x4.mul(f32x4.mul(highPairs(zero, high), exponent), by), 48);
    }
  }
}
