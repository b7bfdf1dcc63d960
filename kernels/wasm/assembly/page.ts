// Pages of the KV cache, as page-shape.ts of @fewbit/kernels lays them out. A decoded value is what rounding would have left in its place, to the bit.

import { pageBytes, pageE4m3, pageFloats, pageHalves, pageNibbles } from '../src/control';
import { integer, pointer, real } from './argument';
import { allFinite, codesOf, fitRun, half, runScale, runZero } from './rounding-scale';
import { biasE4m3, biasE5m2, widenHalves } from './short-floats';
import { loadUpTo, storeUpTo } from './vector';

/** Where the arguments of `storePage` go on behind those of the rounding: the first row of the page, and its shape. */
const storedRow = 21;
const storedShape = 22;

/**
 * Arguments: x, the page, rows, columns, rows per task, 0; the rounding; the first row of the page, and its shape: kind, n, group, whether scales have
 * zero points, or everyone's zero point, where scales and zero points lie in a row, bytes of a row. Scratch: n bytes.
 */
export function storePage(task: i32, scratch: usize): void {
  const columns = integer(3);
  const share = integer(4);
  const rowBytes = <usize>integer(storedShape + 7);
  for (let i = task * share; i < min(integer(2), (task + 1) * share); i++) {
    const x = pointer(0) + <usize>i * <usize>columns * 4;
    const row = pointer(1) + <usize>(integer(storedRow) + i) * rowBytes;
    if (integer(storedShape) === pageHalves) storeHalves(x, row, columns);
    else storeCodes(x, row, columns, scratch);
  }
}

function storeHalves(x: usize, row: usize, count: i32): void {
  for (let j = 0; j < count; j += 4) {
    const words = halfBits(half(loadUpTo(x + <usize>j * 4, count - j, 0)));
    const at = row + <usize>j * 2;
    store<u16>(at, <u16>i32x4.extract_lane(words, 0));
    if (j + 1 < count) store<u16>(at, <u16>i32x4.extract_lane(words, 1), 2);
    if (j + 2 < count) store<u16>(at, <u16>i32x4.extract_lane(words, 2), 4);
    if (j + 3 < count) store<u16>(at, <u16>i32x4.extract_lane(words, 3), 6);
  }
}

function storeCodes(x: usize, row: usize, count: i32, codes: usize): void {
  const kind = integer(storedShape);
  const group = integer(storedShape + 2);
  const scales = row + <usize>integer(storedShape + 5);
  const zeros = row + <usize>integer(storedShape + 6);
  const sound = allFinite(x, count);
  for (let first = 0, i = 0; first < count; first += group, i++) {
    const length = min(group, count - first);
    const from = x + <usize>first * 4;
    fitRun(from, length, false);
    // No code says NaN, so that the scale of a damaged row does.
    store<f32>(scales + <usize>i * 4, sound ? runScale : NaN);
    if (integer(storedShape + 3) !== 0) store<u8>(zeros + <usize>i, sound ? <u8>runZero : 0);
    for (let j = 0; j < length; j += 4) {
      const bytes = sound ? bytesOf(kind, codesOf(loadUpTo(from + <usize>j * 4, length - j, 0))) : i32x4.splat(0);
      const at = codes + <usize>(first + j);
      store<u8>(at, i32x4.extract_lane(bytes, 0));
      if (j + 1 < length) store<u8>(at, i32x4.extract_lane(bytes, 1), 1);
      if (j + 2 < length) store<u8>(at, i32x4.extract_lane(bytes, 2), 2);
      if (j + 3 < length) store<u8>(at, i32x4.extract_lane(bytes, 3), 3);
    }
  }
  if (kind !== pageNibbles) {
    memory.copy(row, codes, count);
    return;
  }
  for (let j = 0; j < count; j += 2) {
    const at = codes + <usize>j;
    store<u8>(row + <usize>(j >> 1), load<u8>(at) | (load<u8>(at, 1) << 4));
  }
}

/** Codes as bytes, in lanes. */
function bytesOf(kind: i32, codes: v128): v128 {
  if (kind <= pageBytes) return i32x4.trunc_sat_f32x4_s(codes);
  const isShort = kind === pageE4m3;
  const magnitude = shifted(codes, isShort ? 7.52316384526264e-37 : 1.925929944387236e-34);
  const below = isShort ? i32x4.shr_u(magnitude, 20) : i32x4.shr_u(magnitude, 21);
  return v128.or(below, v128.and(i32x4.shr_u(codes, 24), i32x4.splat(0x80)));
}

/** f16's bits of values that f16 holds, of Inf and of NaN. */
function halfBits(values: v128): v128 {
  const magnitude = f32x4.abs(values);
  const finite = i32x4.shr_u(shifted(values, 1.925929944387236e-34), 13);
  const beyond = v128.or(i32x4.splat(0x7c00), v128.and(f32x4.ne(values, values), i32x4.splat(0x200)));
  const word = v128.bitselect(beyond, finite, i32x4.ge_s(magnitude, i32x4.splat(0x47800000)));
  return v128.or(word, v128.and(i32x4.shr_u(values, 16), i32x4.splat(0x8000)));
}

/** Magnitudes with another bias of the exponent, by a multiplication, which makes subnormal numbers right as well. */
function shifted(values: v128, by: f32): v128 {
  return f32x4.mul(f32x4.abs(values), f32x4.splat(by));
}

/** Where `readPage` found lines of float32, and bytes from one to the next. */
export let lines: usize = 0;
export let lineBytes: usize = 0;

/** Values [first, first + count) of `rows` rows: where they lie, or decoded into `scratch` [rows, count]. The page's shape is at the arguments from `shape` on. */
export function readPage(page: usize, shape: i32, row: i32, rows: i32, first: i32, count: i32, scratch: usize): void {
  const kind = integer(shape);
  const rowBytes = <usize>integer(shape + 7);
  const from = page + <usize>row * rowBytes;
  if (kind === pageFloats) {
    lines = from + <usize>first * 4;
    lineBytes = rowBytes;
    return;
  }
  lines = scratch;
  lineBytes = <usize>count * 4;
  for (let i = 0; i < rows; i++) {
    const at = from + <usize>i * rowBytes;
    const to = scratch + <usize>i * lineBytes;
    if (kind === pageHalves) decodeHalves(at + <usize>first * 2, count, to);
    else decodeGroups(kind, shape, at, first, count, to);
  }
}

function decodeHalves(from: usize, count: i32, to: usize): void {
  for (let j = 0; j < count; j += 4) {
    const words = v128.load16x4_s(from + <usize>j * 2);
    const beyond = i32x4.ge_s(v128.and(words, i32x4.splat(0x7fff)), i32x4.splat(0x7c00));
    const value = v128.or(widenHalves(words), v128.and(beyond, i32x4.splat(0x7f800000)));
    storeUpTo(to + <usize>j * 4, count - j, value);
  }
}

function decodeGroups(kind: i32, shape: i32, row: usize, first: i32, count: i32, to: usize): void {
  const group = integer(shape + 2);
  const scales = row + <usize>integer(shape + 5);
  const zeros = row + <usize>integer(shape + 6);
  const ownZeros = integer(shape + 3) !== 0;
  const zero = <f32>real(shape + 4);
  for (let i = first / group; i * group < first + count; i++) {
    const start = max(first, i * group);
    const length = min(first + count, (i + 1) * group) - start;
    const scale = v128.load32_splat(scales + <usize>i * 4);
    const middle = f32x4.splat(ownZeros ? <f32>load<u8>(zeros + <usize>i) : zero);
    const at = to + <usize>(start - first) * 4;
    for (let j = 0; j < length; j += 4) {
      const codes = codesAt(kind, row, start + j);
      storeUpTo(at + <usize>j * 4, length - j, f32x4.mul(f32x4.sub(codes, middle), scale));
    }
  }
}

/** Four codes of a row as floats. */
function codesAt(kind: i32, row: usize, i: i32): v128 {
  if (kind === pageNibbles) {
    const pair = i32x4.splat(load<u16>(row + <usize>(i >> 1)));
    const moved = i32x4.shr_u(i32x4.mul(pair, i32x4(4096, 256, 16, 1)), 12);
    return f32x4.convert_i32x4_s(v128.and(moved, i32x4.splat(15)));
  }
  const bytes = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(row + <usize>i)));
  if (kind === pageBytes) return f32x4.convert_i32x4_s(bytes);
  const below = v128.and(bytes, i32x4.splat(0x7f));
  const isShort = kind === pageE4m3;
  const magnitude = f32x4.mul(isShort ? i32x4.shl(below, 20) : i32x4.shl(below, 21), f32x4.splat(isShort ? biasE4m3 : biasE5m2));
  return v128.or(magnitude, i32x4.shl(v128.and(bytes, i32x4.splat(0x80)), 24));
}
