// The inner part of multiply-codes.ts where activations are bytes (byte-products.ts). Chunks go in pieces whose products add up in 16 bits.

import { blockRows, pieceInputs, tileTokens } from '../src/control';
import { ones, products } from './byte-products';
import { furtherWord, partsOf } from './code-places';
import { PackedCodes, scalesOf, zerosOf, zerosPlace } from './packed-codes';

/** Bytes of the scales and zero points of one piece, [row] each. */
const scaleBytes: usize = 2 * blockRows * 4;

/**
 * One chunk in pieces of up to 32 inputs: codes, one per byte, [4 inputs][row]; scales in float32; zero points, 0 but for the chunk's first piece, 1 where the
 * shifts of x have them in them. Returns the end of the scales.
 */
export function unpackPieces(w: PackedCodes, from: usize, weights: usize, scales: usize): usize {
  const end = from + <usize>w.codeBytes;
  const scale0 = scalesOf(end, 0, w.scaleType);
  const scale1 = scalesOf(end, 1, w.scaleType);
  let zeros0 = w.ownZeros ? zerosOf(end + zerosPlace(w)) : i32x4.splat(1);
  let zeros1 = w.ownZeros ? zerosOf(end + zerosPlace(w) + 4) : i32x4.splat(1);
  const last = weights + <usize>(w.length * blockRows);
  for (let word = from; word < end; word += 32) weights = storeQuads(w.bits, v128.load(word), v128.load(word, 16), weights);
  for (; weights < last; from += <usize>partsOf(w.bits) * 32) {
    weights = storeQuads(w.bits, furtherWord(w.bits, from), furtherWord(w.bits, from + 16), weights);
  }
  for (let input = 0; input < w.length; input += pieceInputs) {
    v128.store(scales, scale0);
    v128.store(scales, scale1, 16);
    v128.store(scales, zeros0, 32);
    v128.store(scales, zeros1, 48);
    zeros0 = i32x4.splat(0);
    zeros1 = zeros0;
    scales += scaleBytes;
  }
  return scales;
}

/** The quads of a word of eight rows; returns the end of them. */
function storeQuads(bits: i32, w0: v128, w1: v128, to: usize): usize {
  const mask = i8x16.splat(<i8>(<i32>(1 << bits) - 1));
  for (let shift = 0; shift + bits <= 8; shift += bits) {
    v128.store(to, v128.and(i16x8.shr_u(w0, shift), mask));
    v128.store(to, v128.and(i16x8.shr_u(w1, shift), mask), 16);
    to += 32;
  }
  return to;
}

/** sums [tileTokens][blockRows] += Σ over chunks: scales·Σ (code − zero)·x. */
export function multiplyByteTile(
  w: PackedCodes,
  chunks: i32,
  weights: usize,
  scales: usize,
  x: usize,
  tokenScales: usize,
  tokenShifts: usize,
  sums: usize,
): void {
  if (!ASC_FEATURE_RELAXED_SIMD) return;
  const one = v128.load(ones);
  const last = tokenScales + <usize>(chunks * tileTokens * 4);
  for (; tokenScales < last; tokenScales += 4 * tileTokens, tokenShifts += 4 * tileTokens) {
    for (const end = x + <usize>(w.length * tileTokens); x < end; ) {
      const stop = min(x + pieceInputs * tileTokens, end);
      let a0 = i16x8.splat(0),
        a1 = i16x8.splat(0),
        b0 = i16x8.splat(0),
        b1 = i16x8.splat(0);
      let c0 = i16x8.splat(0),
        c1 = i16x8.splat(0),
        d0 = i16x8.splat(0),
        d1 = i16x8.splat(0);
      for (; x < stop; x += 4 * tileTokens, weights += 4 * blockRows) {
        const w0 = v128.load(weights);
        const w1 = v128.load(weights, 16);
        const xa = v128.load32_splat(x);
        a0 = i16x8.add(a0, products(xa, w0));
        a1 = i16x8.add(a1, products(xa, w1));
        const xb = v128.load32_splat(x, 4);
        b0 = i16x8.add(b0, products(xb, w0));
        b1 = i16x8.add(b1, products(xb, w1));
        const xc = v128.load32_splat(x, 8);
        c0 = i16x8.add(c0, products(xc, w0));
        c1 = i16x8.add(c1, products(xc, w1));
        const xd = v128.load32_splat(x, 12);
        d0 = i16x8.add(d0, products(xd, w0));
        d1 = i16x8.add(d1, products(xd, w1));
      }
      const low = scales;
      const high = scales + 16;
      Piece.add(sums, i32x4.dot_i16x8_s(a0, one), low, tokenScales, tokenShifts);
      Piece.add(sums + 16, i32x4.dot_i16x8_s(a1, one), high, tokenScales, tokenShifts);
      Piece.add(sums + 32, i32x4.dot_i16x8_s(b0, one), low, tokenScales + 4, tokenShifts + 4);
      Piece.add(sums + 48, i32x4.dot_i16x8_s(b1, one), high, tokenScales + 4, tokenShifts + 4);
      Piece.add(sums + 64, i32x4.dot_i16x8_s(c0, one), low, tokenScales + 8, tokenShifts + 8);
      Piece.add(sums + 80, i32x4.dot_i16x8_s(c1, one), high, tokenScales + 8, tokenShifts + 8);
      Piece.add(sums + 96, i32x4.dot_i16x8_s(d0, one), low, tokenScales + 12, tokenShifts + 12);
      Piece.add(sums + 112, i32x4.dot_i16x8_s(d1, one), high, tokenScales + 12, tokenShifts + 12);
      scales += scaleBytes;
    }
  }
}

class Piece {
  /** Four rows' sums for one token += dots less the zero points' part, scaled. */
  @inline
  static add(sums: usize, dots: v128, scales: usize, tokenScale: usize, tokenShift: usize): void {
    const whole = i32x4.add(dots, i32x4.mul(v128.load(scales, 32), v128.load32_splat(tokenShift)));
    const by = f32x4.mul(v128.load(scales), v128.load32_splat(tokenScale));
    v128.store(sums, f32x4.add(v128.load(sums), f32x4.mul(f32x4.convert_i32x4_s(whole), by)));
  }
}
