// A quantized weight as the kernels read it: a header, then one stream, front to back. Rows go in blocks of eight, inputs in chunks that lie in one group.
//
//   block of rows → chunk → [ codes | scales of the block's rows | bases of the block's rows, or zero points where they differ ]
//
// x̂ = scale·(code − zero) + base, where codes of 4 bits may name whole numbers of a table in the place of themselves.
//
// Codes of 7 bits take 8. A 32-bit lane of a vector is a word of one row, four rows to a vector; two vectors, the block's eight rows, go together. Which inputs a
// word has says code-places.ts.

import { blockRows, headerBytes, scaleBFloat16, scaleFloat16, scaleFloat32 } from '../src/control';
import { integer, pointer } from './argument';
import { furtherAt, furtherPairs, pairsOf, partsOf, placeOf, spareAt, spareMask } from './code-places';
import { widenHalves } from './short-floats';
import { lookup } from './shuffles';

/** The header, which JavaScript writes (src/codes-form.ts). */
@unmanaged
export class PackedCodes {
  /** Sixteen bytes. */
  levels: u64;
  moreLevels: u64;
  rows: i32;
  cols: i32;
  /** Inputs that share a scale. */
  group: i32;
  /** Chunks of a whole group, and of a row. */
  perGroup: i32;
  chunks: i32;
  /** Inputs of a chunk with its padding, whose codes are 0. */
  length: i32;
  /** Of a code, in memory. */
  bits: i32;
  scaleType: i32;
  ownZeros: i32;
  /** Each row of a chunk has a base, a float32. The zero point is 0 then. */
  ownBases: i32;
  /** The zero point of all rows, where they have none of their own. */
  zero: i32;
  /** Of a chunk's codes, and of the whole chunk. */
  codeBytes: i32;
  chunkBytes: i32;
  /** What products round x to, 16 or 8. */
  activationBits: i32;
  /** Codes name places of the table. */
  ownLevels: i32;

  /** x in bytes, for the products of bytes that relaxed SIMD has; elsewhere 8-bit values lie in 16 bits. */
  @inline get bytes(): bool {
    return ASC_FEATURE_RELAXED_SIMD && this.activationBits === 8 && this.bits <= 4 && !this.ownLevels && !this.ownBases;
  }

  @inline get table(): v128 {
    return v128.load(changetype<usize>(this));
  }

  /** Bytes of a chunk of rounded x. */
  @inline get valueBytes(): usize {
    return <usize>this.length * (this.bytes ? 1 : 2);
  }

  /** Of a row's chunk. */
  get words(): i32 {
    return this.codeBytes / (4 * blockRows);
  }

  first(chunk: i32): i32 {
    return (chunk / this.perGroup) * this.group + (chunk % this.perGroup) * this.length;
  }

  /** Inputs of a chunk without its padding. */
  count(chunk: i32): i32 {
    const first = this.first(chunk);
    return min(min(this.length, (chunk / this.perGroup + 1) * this.group - first), this.cols - first);
  }

  block(index: i32): usize {
    return changetype<usize>(this) + headerBytes + <usize>(index * this.chunks) * <usize>this.chunkBytes;
  }
}

/**
 * Arguments: packed weight, first block, codes of the blocks, one per byte; scales in float32, zero points and bases, one per tile of the weight; rows per tile, tiles
 * side by side. A task is a block.
 */
export function packCodes(task: i32): void {
  const w = changetype<PackedCodes>(pointer(0));
  const block = integer(1) + task;
  const codes = pointer(2) + <usize>(task * blockRows) * <usize>w.cols;
  const rows = min(w.rows - block * blockRows, blockRows);
  const scales = <usize>w.codeBytes;
  const zeros = scales + zerosPlace(w);
  let to = w.block(block);
  memory.fill(to, 0, <usize>w.chunks * <usize>w.chunkBytes);
  for (let chunk = 0; chunk < w.chunks; chunk++) {
    for (let row = 0; row < rows; row++) {
      packRow(codes + <usize>row * <usize>w.cols + <usize>w.first(chunk), w.count(chunk), w, to + <usize>row * 4);
      const tile = <usize>(((block * blockRows + row) / integer(6)) * integer(7) + chunk / w.perGroup);
      const scale = load<u32>(pointer(3) + tile * 4);
      if (w.scaleType === scaleFloat32) store<u32>(to + scales + <usize>row * 4, scale);
      else store<u16>(to + scales + <usize>row * 2, w.scaleType === scaleBFloat16 ? <u16>(scale >> 16) : halfOf(scale));
      if (w.ownZeros) store<u8>(to + zeros + <usize>row, load<u8>(pointer(4) + tile));
      if (w.ownBases) store<u32>(to + zeros + <usize>row * 4, load<u32>(pointer(5) + tile * 4));
    }
    to += <usize>w.chunkBytes;
  }
}

/** One row of one chunk, whose words lie a block apart. */
function packRow(from: usize, count: i32, w: PackedCodes, to: usize): void {
  const bits = w.bits;
  const words = w.words;
  const perWord = 2 * pairsOf(bits);
  for (let word = 0; word < words; word++) {
    store<u32>(to + <usize>(word * blockRows * 4), wordOf(from + word * perWord, count - word * perWord, bits));
  }
  from += words * perWord;
  count -= words * perWord;
  for (; count > 0; from += 2 * furtherPairs(bits), count -= 2 * furtherPairs(bits)) {
    const further = wordOf(from, count, bits);
    for (let part = 0; part < partsOf(bits); part++, to += blockRows * 4) {
      store<u32>(to, load<u32>(to) | (((further >> furtherAt(bits, part)) & spareMask(bits)) << spareAt(bits)));
    }
  }
}

/** A word's codes, the first of the `count` at `from`. */
function wordOf(from: usize, count: i32, bits: i32): u32 {
  const pairs = min(pairsOf(bits), max(count, 0) >> 1);
  let word: u32 = 0;
  for (let pair = 0; pair < pairs; pair++, from += 2) {
    const both = <u32>load<u16>(from);
    word |= ((both & 0xff) | ((both & 0xff00) << 8)) << placeOf(bits, pair);
  }
  return 2 * pairs === count - 1 && pairs < pairsOf(bits) ? word | ((<u32>load<u8>(from)) << placeOf(bits, pairs)) : word;
}

/** A row of the weight as float32. Arguments: packed weight, out; then the row for each task. */
export function decodeRow(task: i32): void {
  const w = changetype<PackedCodes>(pointer(0));
  const row = integer(2 + task);
  const lane = row % blockRows;
  let at = w.block(row / blockRows);
  for (let chunk = 0; chunk < w.chunks; chunk++) {
    const scales = at + <usize>w.codeBytes;
    const scale = scaleOf(w, scales, lane);
    const zero = w.ownZeros ? <i32>load<u8>(scales + zerosPlace(w) + lane) : w.zero;
    const base: f32 = w.ownBases ? load<f32>(scales + zerosPlace(w) + lane * 4) : 0;
    const to = pointer(1) + (<usize>task * <usize>w.cols + <usize>w.first(chunk)) * 4;
    for (let i = 0; i < w.count(chunk); i++) {
      const code = codeOf(w, at + <usize>lane * 4, i);
      const level = w.ownLevels ? <i32>load<u8>(changetype<usize>(w) + code) : code;
      const value = <f32>(level - zero) * scale;
      store<f32>(to + <usize>i * 4, w.ownBases ? value + base : value);
    }
    at += <usize>w.chunkBytes;
  }
}

/** The code of input `i` of a row's chunk, whose words lie a block apart from `at` on. */
function codeOf(w: PackedCodes, at: usize, i: i32): i32 {
  const bits = w.bits;
  let pair = i >> 1;
  const word = pair / pairsOf(bits);
  let value: u32 = 0;
  if (word < w.words) {
    value = load<u32>(at + <usize>(word * blockRows * 4));
    pair %= pairsOf(bits);
  } else {
    pair -= w.words * pairsOf(bits);
    const first = (pair / furtherPairs(bits)) * partsOf(bits);
    pair %= furtherPairs(bits);
    for (let part = 0; part < partsOf(bits); part++) {
      const spare = (load<u32>(at + <usize>((first + part) * blockRows * 4)) >> spareAt(bits)) & spareMask(bits);
      value |= spare << furtherAt(bits, part);
    }
  }
  return <i32>(value >> ((i & 1) * 16 + placeOf(bits, pair))) & ((1 << bits) - 1);
}

/** The scale of one row of a block. */
function scaleOf(w: PackedCodes, scales: usize, row: i32): f32 {
  if (w.scaleType === scaleFloat32) return load<f32>(scales + row * 4);
  const word = load<u16>(scales + row * 2);
  return f32x4.extract_lane(w.scaleType === scaleFloat16 ? widenHalves(i32x4.splat(<i16>word)) : i32x4.splat((<i32>word) << 16), 0);
}

/** The float16 of a float32 that float16 holds exactly. */
function halfOf(word: u32): u16 {
  const sign = (word >> 16) & 0x8000;
  const exponent = (word >> 23) & 0xff;
  const fraction = word & 0x7fffff;
  if (exponent > 112) return <u16>(sign | ((exponent - 112) << 10) | (fraction >> 13));
  // Subnormal: the leading one is written out. (Below 2⁻²⁴ only zero is exact.)
  return exponent < 102 ? <u16>sign : <u16>(sign | ((fraction | 0x800000) >> (126 - exponent)));
}

/** Scales of four rows, the `half`-th of a block. */
export function scalesOf(at: usize, half: usize, type: i32): v128 {
  if (type === scaleFloat16) return widenHalves(v128.load16x4_s(at + half * 8));
  if (type === scaleBFloat16) return i32x4.shl(v128.load16x4_u(at + half * 8), 16);
  return v128.load(at + half * 16);
}

/** Zero points of four rows. */
export function zerosOf(at: usize): v128 {
  return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(at)));
}

/** Bytes from a chunk's scales to its zero points or bases. */
export function zerosPlace(w: PackedCodes): usize {
  return w.scaleType === scaleFloat32 ? blockRows * 4 : blockRows * 2;
}

/** What the sums of four rows, the first of them row `row` of the block, start from: the zero points' part. `scales`: of the block. */
export function firstSum(w: PackedCodes, scales: usize, row: usize, shifts: usize): v128 {
  if (w.ownBases) return i32x4.splat(0);
  const shift = v128.load32_splat(shifts);
  if (!w.ownZeros) return shift;
  return i32x4.mul(zerosOf(scales + zerosPlace(w) + row), shift);
}

/** Products of the codes at one place, in the low and in the high bytes of each half of a lane. */
export function pair(low: v128, x: v128, high: v128, y: v128, mask: v128): v128 {
  return i32x4.add(i32x4.dot_i16x8_s(v128.and(low, mask), x), i32x4.dot_i16x8_s(v128.and(high, mask), y));
}

/** Sums of four rows, the `half`-th of the block, times their scales. */
export function scaled(w: PackedCodes, sums: v128, scales: usize, half: usize, by: v128): v128 {
  return f32x4.mul(f32x4.convert_i32x4_s(sums), f32x4.mul(scalesOf(scales, half, w.scaleType), by));
}

/** `totals` of four rows, the `half`-th of the block, and their bases' part. */
export function based(w: PackedCodes, totals: v128, scales: usize, half: usize, shifts: usize, by: v128): v128 {
  if (!w.ownBases) return totals;
  const sum = f32x4.mul(f32x4.convert_i32x4_s(v128.load32_splat(shifts)), by);
  return f32x4.add(totals, f32x4.mul(sum, v128.load(scales + zerosPlace(w) + half * 16)));
}

/** Levels of 16 bits for codes of 4 bits in the low half of their lower byte. */
export function levelPairs(table: v128, codes: v128): v128 {
  return v128.and(lookup(table, codes), i16x8.splat(0xff));
}
