// Causal attention over blocks of keys with a running softmax (Milakov and Gimelshein 2018; Dao et al. 2022, algorithm 1): memory does not grow with the
// context. Many query rows go through the register tile; few (decoding) read keys and values as they lie.

import { keyStep, queryRows, tileColumns, tileRows } from '../src/control';
import { integer, pointer, real } from './argument';
import { capped, exp } from './functions';
import { tileProduct } from './micro-kernel';
import { dot } from './multiply-rows';
import { packLeft, packRight } from './pack';
import { lineBytes, lines, readPage } from './page';
import { largest, loadUpTo, madd, storeUpTo, sum } from './vector';

/** Where the arguments have the shapes of the pages of k and of v (assembly/page.ts), and after them their addresses. */
const keyShape = 12;
const valueShape = 20;
const addresses = 28;

/**
 * Arguments: q, out, rows of q, heads, key-value heads, head size, scale, start, window (0: all), softcap (0: none), positions per page, pages; the
 * shapes of the pages of k and of v; then the addresses of the pages of k, and of those of v.
 * A task is up to 80 rows of one key-value head: (query, head) pairs, a query's heads side by side, for which keys and values are read and packed once.
 * Scratch: see the offsets below.
 */
export function attention(task: i32, scratch: usize): void {
  const heads = integer(3);
  const keyValueHeads = integer(4);
  const size = integer(5);
  const start = integer(7);
  const window = integer(8);
  const pageRows = integer(10);
  const group = heads / keyValueHeads;
  const shared = task % keyValueHeads;
  const first = (task / keyValueHeads) * queryRows;
  const rows = min(queryRows, integer(2) * group - first);
  const few = rows < tileRows;

  const padded = (size + tileColumns - 1) & ~(tileColumns - 1);
  const tile = scratch;
  const state = tile + 256; // per row: largest score, sum of weights
  const scores = state + queryRows * 16;
  const mixed = scores + queryRows * keyStep * 4; // [rows, padded]
  const queries = mixed + <usize>(queryRows * padded) * 4;
  const weights = queries + <usize>(queryRows * size) * 4;
  const panels = weights + queryRows * keyStep * 4;
  const decoded = panels + <usize>(keyStep * padded) * 4; // [keyStep, size]
  const q = decoded + <usize>(keyStep * size) * 4; // [rows, size]

  memory.fill(mixed, 0, <usize>(rows * padded) * 4);
  for (let i = 0; i < rows; i++) {
    store<f64>(state + <usize>i * 16, -Infinity);
    store<f64>(state + <usize>i * 16, 0, 8);
    memory.copy(q + <usize>(i * size) * 4, pointer(0) + headAt(first + i, group, shared, heads, size), <usize>size * 4);
  }
  const lineOfQ = <usize>size * 4;
  if (!few) packPanels(q, lineOfQ, 4, rows, size, queries);

  const lastKey = start + (first + rows - 1) / group + 1;
  const firstKey = window > 0 ? max(0, start + first / group - window + 1) : 0;
  for (let key = firstKey, keys = 0; key < lastKey; key += keys) {
    const page = key / pageRows;
    const row = key % pageRows;
    keys = min(keyStep, min(lastKey - key, pageRows - row));
    readPage(pointer(addresses + page), keyShape, row, keys, shared * size, size, decoded);
    if (few) {
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < keys; j++) {
          store<f32>(scores + <usize>(i * keyStep + j) * 4, dot(q + <usize>i * lineOfQ, lines + <usize>j * lineBytes, size));
        }
      }
    } else {
      packRight(lines, 4, lineBytes, keys, size, panels);
      setTiles(queries, panels, rows, size, keys, scores, keyStep, tile);
    }
    for (let i = 0; i < rows; i++) {
      const position = start + (first + i) / group;
      const low = window > 0 ? max(0, position - window + 1 - key) : 0;
      weigh(
        scores + <usize>(i * keyStep) * 4,
        keys,
        low,
        min(keys, position + 1 - key),
        state + <usize>i * 16,
        mixed + <usize>(i * padded) * 4,
        padded,
      );
    }
    readPage(pointer(addresses + integer(11) + page), valueShape, row, keys, shared * size, size, decoded);
    if (few) {
      for (let i = 0; i < rows; i++)
        mixRow(scores + <usize>(i * keyStep) * 4, lines, lineBytes, keys, size, mixed + <usize>(i * padded) * 4);
    } else {
      packPanels(scores, keyStep * 4, 4, rows, keys, weights);
      packRight(lines, lineBytes, 4, size, keys, panels);
      addTiles(weights, panels, rows, keys, padded, mixed, tile);
    }
  }
  for (let i = 0; i < rows; i++) {
    const inverse = f32x4.splat(<f32>(1 / load<f64>(state + <usize>i * 16, 8)));
    const out = pointer(1) + headAt(first + i, group, shared, heads, size);
    for (let d = 0; d < size; d += 4) {
      storeUpTo(out + <usize>d * 4, size - d, f32x4.mul(inverse, v128.load(mixed + <usize>(i * padded + d) * 4)));
    }
  }
}

/** Bytes from the first query to a (query, head) pair. */
function headAt(pair: i32, group: i32, shared: i32, heads: i32, size: i32): usize {
  return (<usize>(pair / group) * <usize>heads + <usize>(shared * group + (pair % group))) * <usize>size * 4;
}

/**
 * Scores of one row → weights exp(score − largest so far), zero outside of [low, high); what was mixed before is scaled to the new largest score.
 */
function weigh(row: usize, keys: i32, low: i32, high: i32, state: usize, mixed: usize, padded: i32): void {
  if (high <= low) {
    memory.fill(row, 0, <usize>keys * 4);
    return;
  }
  const scale = f32x4.splat(<f32>real(6));
  const cap = <f32>real(9);
  const lanes = i32x4(0, 1, 2, 3);
  const hidden = f32x4.splat(-Infinity);
  let top = hidden;
  for (let j = 0; j < keys; j += 4) {
    const at = row + <usize>j * 4;
    let score = f32x4.mul(v128.load(at), scale);
    if (cap > 0) score = capped(score, cap);
    const index = i32x4.add(lanes, i32x4.splat(j));
    const seen = v128.and(i32x4.ge_s(index, i32x4.splat(low)), i32x4.lt_s(index, i32x4.splat(high)));
    score = v128.bitselect(score, hidden, seen);
    v128.store(at, score);
    top = f32x4.pmax(top, score);
  }
  const before = <f32>load<f64>(state);
  const most = max(before, largest(top));
  const shift = f32x4.splat(most);
  let total = f32x4.splat(0);
  for (let j = 0; j < keys; j += 4) {
    const at = row + <usize>j * 4;
    const score = v128.load(at);
    // a score that is not finite makes the sum NaN
    const weight = v128.andnot(f32x4.add(exp(f32x4.sub(score, shift)), f32x4.sub(score, score)), f32x4.eq(score, hidden));
    v128.store(at, weight);
    total = f32x4.add(total, weight);
  }
  const rescale = before === -Infinity ? <f32>0 : f32x4.extract_lane(exp(f32x4.splat(before - most)), 0);
  store<f64>(state, <f64>most);
  store<f64>(state, load<f64>(state, 8) * <f64>rescale + <f64>sum(total), 8);
  if (rescale !== 1) {
    const by = f32x4.splat(rescale);
    for (let d = 0; d < padded; d += 4) v128.store(mixed + <usize>d * 4, f32x4.mul(by, v128.load(mixed + <usize>d * 4)));
  }
}

function packPanels(a: usize, row: usize, column: usize, rows: i32, k: i32, panels: usize): void {
  for (let i = 0; i < rows; i += tileRows) {
    packLeft<f32>(a + <usize>i * row, row, column, min(rows - i, tileRows), k, panels + <usize>(i * k) * 4);
  }
}

/** out [rows, columns] = left·right, row stride `stride` floats; `out` has room for whole tiles. */
function setTiles(left: usize, right: usize, rows: i32, k: i32, columns: i32, out: usize, stride: i32, tile: usize): void {
  for (let i = 0; i < rows; i += tileRows) {
    for (let j = 0; j < columns; j += tileColumns) {
      tileProduct(left + <usize>(i * k) * 4, right + <usize>(j * k) * 4, k, tile);
      for (let r = 0; r < min(rows - i, tileRows); r++) {
        const at = out + <usize>((i + r) * stride + j) * 4;
        v128.store(at, v128.load(tile + r * 32));
        v128.store(at, v128.load(tile + r * 32, 16), 16);
      }
    }
  }
}

/** out [rows, columns] += left·right; columns is a multiple of the tile's. */
function addTiles(left: usize, right: usize, rows: i32, k: i32, columns: i32, out: usize, tile: usize): void {
  for (let i = 0; i < rows; i += tileRows) {
    for (let j = 0; j < columns; j += tileColumns) {
      tileProduct(left + <usize>(i * k) * 4, right + <usize>(j * k) * 4, k, tile);
      for (let r = 0; r < min(rows - i, tileRows); r++) {
        const at = out + <usize>((i + r) * columns + j) * 4;
        v128.store(at, f32x4.add(v128.load(at), v128.load(tile + r * 32)));
        v128.store(at, f32x4.add(v128.load(at, 16), v128.load(tile + r * 32, 16)), 16);
      }
    }
  }
}

/** mixed [size] += Σ_j weight_j · v_j. */
function mixRow(weights: usize, v: usize, keyWidth: usize, keys: i32, size: i32, mixed: usize): void {
  let d = 0;
  for (; d + 16 <= size; d += 16) {
    const at = mixed + <usize>d * 4;
    let s0 = v128.load(at),
      s1 = v128.load(at, 16),
      s2 = v128.load(at, 32),
      s3 = v128.load(at, 48);
    let value = v + <usize>d * 4;
    for (let j = 0; j < keys; j++) {
      const weight = v128.load_splat<f32>(weights + <usize>j * 4);
      s0 = madd(weight, v128.load(value), s0);
      s1 = madd(weight, v128.load(value, 16), s1);
      s2 = madd(weight, v128.load(value, 32), s2);
      s3 = madd(weight, v128.load(value, 48), s3);
      value += keyWidth;
    }
    v128.store(at, s0);
    v128.store(at, s1, 16);
    v128.store(at, s2, 32);
    v128.store(at, s3, 48);
  }
  for (; d < size; d += 4) {
    const at = mixed + <usize>d * 4;
    let s = v128.load(at);
    for (let j = 0; j < keys; j++) {
      s = madd(v128.load_splat<f32>(weights + <usize>j * 4), loadUpTo(v + <usize>j * keyWidth + <usize>d * 4, size - d, 0), s);
    }
    v128.store(at, s);
  }
}
