// x·wᵀ + bias by codes for many rows of x: each task unpacks the codes of some rows to 16 bits (or bytes, if x is in bytes), a slab of inputs at a time, and
// multiplies them with all tiles of x while they are in the first-level cache.

import { blockRows, pieceInputs, slabInputs, taskBlocks, taskTiles, tileTokens } from '../src/control';
import { integer, pointer } from './argument';
import { furtherPairs, furtherWord, pairsOf, partsOf, placeOf } from './code-places';
import { multiplyByteTile, unpackPieces } from './multiply-bytes';
import { levelPairs, PackedCodes, scalesOf, zerosOf, zerosPlace } from './packed-codes';

/** Bytes of one tile of results: tileTokens × blockRows floats. */
const tileBytes = tileTokens * blockRows * 4;
/** Of a chunk's scales, and of its zero points or bases. */
const scaleBytes = 2 * blockRows * 4;

/**
 * Arguments: packed weight; values, scales and shifts of x in tiles (quantize-activations.ts); out, bias or 0; m. A task is up to taskBlocks blocks of rows and up
 * to taskTiles tiles of x. Scratch: results [block][tile]; for each block weights of a slab, [chunk][32 bits of inputs][row]; for each block scales and
 * zero points of chunks, or of pieces, [row] each.
 */
export function multiplyCodes(task: i32, scratch: usize): void {
  const w = changetype<PackedCodes>(pointer(0));
  const m = integer(6);
  const blocks = (w.rows + blockRows - 1) / blockRows;
  const tiles = (m + tileTokens - 1) / tileTokens;
  const rowTasks = (blocks + taskBlocks - 1) / taskBlocks;
  const firstBlock = (task % rowTasks) * taskBlocks;
  const lastBlock = min(firstBlock + taskBlocks, blocks);
  const firstTile = (task / rowTasks) * taskTiles;
  const lastTile = min(firstTile + taskTiles, tiles);
  const slab = max(1, slabInputs / w.length);
  const weightBytes = <usize>(w.length * blockRows * (w.bytes ? 1 : 2));
  const weights = scratch + taskBlocks * taskTiles * tileBytes;
  const scales = weights + <usize>(taskBlocks * slab) * weightBytes;
  const blockScales = <usize>(slab * ((w.length + pieceInputs - 1) / pieceInputs) * scaleBytes);
  memory.fill(scratch, 0, taskBlocks * taskTiles * tileBytes);
  for (let first = 0; first < w.chunks; first += slab) {
    const count = min(slab, w.chunks - first);
    for (let block = firstBlock; block < lastBlock; block++) {
      let to = scales + <usize>(block - firstBlock) * blockScales;
      for (let chunk = 0; chunk < count; chunk++) {
        const from = w.block(block) + <usize>(first + chunk) * <usize>w.chunkBytes;
        const place = weights + <usize>((block - firstBlock) * slab + chunk) * weightBytes;
        to = w.bytes ? unpackPieces(w, from, place, to) : unpackPairs(w, from, place, to);
      }
    }
    for (let tile = firstTile; tile < lastTile; tile++) {
      const at = <usize>((tile * w.chunks + first) * tileTokens);
      const x = pointer(1) + at * w.valueBytes;
      const tokenScales = pointer(2) + at * 4;
      const tokenShifts = pointer(3) + at * 4;
      for (let block = firstBlock; block < lastBlock; block++) {
        const from = weights + <usize>((block - firstBlock) * slab) * weightBytes;
        const by = scales + <usize>(block - firstBlock) * blockScales;
        const to = scratch + <usize>(((block - firstBlock) * taskTiles + tile - firstTile) * tileBytes);
        if (w.bytes) multiplyByteTile(w, count, from, by, x, tokenScales, tokenShifts, to);
        else multiplyTile(w, count, from, by, x, tokenScales, tokenShifts, to);
      }
    }
  }
  for (let tile = firstTile; tile < lastTile; tile++) {
    for (let i = 0; i < min(m - tile * tileTokens, tileTokens); i++) {
      const out = pointer(4) + <usize>(tile * tileTokens + i) * <usize>w.rows * 4;
      for (let block = firstBlock; block < lastBlock; block++) {
        const place = ((block - firstBlock) * taskTiles + tile - firstTile) * tileBytes + i * blockRows * 4;
        storeRows(w, block, scratch + <usize>place, out, pointer(5));
      }
    }
  }
}

/** The block's part of one row of results; `out` and `bias` are whole rows. */
export function storeRows(w: PackedCodes, block: i32, sums: usize, out: usize, bias: usize): void {
  const first = block * blockRows;
  for (let i = 0; i < min(w.rows - first, blockRows); i++) {
    const value = load<f32>(sums + <usize>i * 4);
    const at = <usize>(first + i) * 4;
    store<f32>(out + at, bias ? load<f32>(bias + at) + value : value);
  }
}

/** Codes of one chunk less their zero points as pairs of 16 bits, [pair][row], and scales as float32, bases behind them. Returns the end of the scales. */
function unpackPairs(w: PackedCodes, from: usize, to: usize, scales: usize): usize {
  const end = from + <usize>w.codeBytes;
  let zeros0 = w.ownZeros ? zerosOf(end + zerosPlace(w)) : i32x4.splat(w.zero);
  let zeros1 = w.ownZeros ? zerosOf(end + zerosPlace(w) + 4) : zeros0;
  zeros0 = v128.or(zeros0, i32x4.shl(zeros0, 16));
  zeros1 = v128.or(zeros1, i32x4.shl(zeros1, 16));
  v128.store(scales, scalesOf(end, 0, w.scaleType));
  v128.store(scales, scalesOf(end, 1, w.scaleType), 16);
  if (w.ownBases) memory.copy(scales + blockRows * 4, end + zerosPlace(w), blockRows * 4);
  const last = to + <usize>w.length * 16;
  for (let word = from; word < end; word += 32) {
    to = storePairs(w, v128.load(word), v128.load(word, 16), zeros0, zeros1, to, min(to + <usize>pairsOf(w.bits) * 32, last));
  }
  for (; to < last; from += <usize>partsOf(w.bits) * 32) {
    const w0 = furtherWord(w.bits, from);
    const w1 = furtherWord(w.bits, from + 16);
    to = storePairs(w, w0, w1, zeros0, zeros1, to, to + <usize>furtherPairs(w.bits) * 32);
  }
  return scales + scaleBytes;
}

/** The pairs of a word of eight rows, up to `last`; returns the end of them. */
function storePairs(w: PackedCodes, w0: v128, w1: v128, zeros0: v128, zeros1: v128, to: usize, last: usize): usize {
  const bits = w.bits;
  const mask = i16x8.splat(<i16>(<i32>(1 << bits) - 1));
  const table = w.table;
  for (let pair = 0; to < last; pair++, to += 32) {
    let codes0 = v128.and(i16x8.shr_u(w0, placeOf(bits, pair)), mask);
    let codes1 = v128.and(i16x8.shr_u(w1, placeOf(bits, pair)), mask);
    if (w.ownLevels) {
      codes0 = levelPairs(table, codes0);
      codes1 = levelPairs(table, codes1);
    }
    v128.store(to, i16x8.sub(codes0, zeros0));
    v128.store(to, i16x8.sub(codes1, zeros1), 16);
  }
  return to;
}

/** sums [tileTokens][blockRows] += Σ over chunks: scales·Σ weight·x, and bases·Σ x where there are any. */
function multiplyTile(
  w: PackedCodes,
  chunks: i32,
  weights: usize,
  scales: usize,
  x: usize,
  tokenScales: usize,
  tokenSums: usize,
  sums: usize,
): void {
  const weightBytes = <usize>(w.length * blockRows * 2);
  for (let chunk = 0; chunk < chunks; chunk++) {
    let a0 = i32x4.splat(0),
      a1 = i32x4.splat(0),
      b0 = i32x4.splat(0),
      b1 = i32x4.splat(0);
    let c0 = i32x4.splat(0),
      c1 = i32x4.splat(0),
      d0 = i32x4.splat(0),
      d1 = i32x4.splat(0);
    const end = weights + weightBytes;
    do {
      const w0 = v128.load(weights);
      const w1 = v128.load(weights, 16);
      const xa = v128.load32_splat(x);
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(w0, xa));
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(w1, xa));
      const xb = v128.load32_splat(x, 4);
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(w0, xb));
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(w1, xb));
      const xc = v128.load32_splat(x, 8);
      c0 = i32x4.add(c0, i32x4.dot_i16x8_s(w0, xc));
      c1 = i32x4.add(c1, i32x4.dot_i16x8_s(w1, xc));
      const xd = v128.load32_splat(x, 12);
      d0 = i32x4.add(d0, i32x4.dot_i16x8_s(w0, xd));
      d1 = i32x4.add(d1, i32x4.dot_i16x8_s(w1, xd));
      weights += 32;
      x += 16;
    } while (weights < end);
    const scale0 = v128.load(scales);
    const scale1 = v128.load(scales, 16);
    Chunk.add(sums, a0, a1, scale0, scale1, tokenScales);
    Chunk.add(sums + 32, b0, b1, scale0, scale1, tokenScales + 4);
    Chunk.add(sums + 64, c0, c1, scale0, scale1, tokenScales + 8);
    Chunk.add(sums + 96, d0, d1, scale0, scale1, tokenScales + 12);
    if (w.ownBases) {
      const base0 = v128.load(scales, 32);
      const base1 = v128.load(scales, 48);
      for (let i: usize = 0; i < <usize>tileTokens; i++) {
        const total = v128.load32_splat(tokenSums + i * 4);
        Chunk.add(sums + i * 32, total, total, base0, base1, tokenScales + i * 4);
      }
    }
    tokenSums += 16;
    scales += scaleBytes;
    tokenScales += 16;
  }
}

class Chunk {
  /** One token's sums += its dots, scaled. */
  @inline
  static add(sums: usize, dots0: v128, dots1: v128, scale0: v128, scale1: v128, tokenScale: usize): void {
    const by = v128.load32_splat(tokenScale);
    v128.store(sums, f32x4.add(v128.load(sums), f32x4.mul(f32x4.convert_i32x4_s(dots0), f32x4.mul(scale0, by))));
    v128.store(sums, f32x4.add(v128.load(sums, 16), f32x4.mul(f32x4.convert_i32x4_s(dots1), f32x4.mul(scale1, by))), 16);
  }
}
