// Tokens drawn from rows of logits, one row per task: packages/kernels/src/sample-token.ts is the definition.

import { digitSumBytes } from '../src/control';
import { integer, pointer, real } from './argument';
import { exp } from './functions';
import { largest, loadUpTo } from './vector';

/** What a token counts for: one, its weight relative to the likeliest, the same where that is at least minP and else nothing. */
const ones = 0;
const weights = 1;
const likely = 2;

/** The row of this thread: where it lies, how long, its largest logit, how it is drawn from, and the last token that the filters so far leave. */
let logits: usize;
let columns: i32;
let top: f32;
let temperature: f32;
let minP: f32;
let lastLogit: f32;
let lastToken: i32;
/** Tokens below it may be left out. */
let least: f32;
/** Scratch: the measures of four tokens; the sums of a digit. */
let measured: usize;
let sums: usize;

/** Arguments: logits, out [m], columns; then uniform, temperature, topK, topP, minP of each row. Scratch: 64 + `digitSumBytes`. */
export function sample(task: i32, scratch: usize): void {
  measured = scratch;
  sums = scratch + 64;
  columns = integer(2);
  logits = pointer(0) + <usize>task * <usize>columns * 4;
  top = largestLogit();
  const first = 3 + 5 * task;
  temperature = <f32>real(first + 1);
  minP = <f32>real(first + 4);
  lastLogit = -Infinity;
  lastToken = columns;
  least = -Infinity;
  let token: f32 = top;
  if (!Number.isNaN(top)) token = temperature === 0 ? <f32>firstOf(top) : <f32>drawn(real(first), integer(first + 2), real(first + 3));
  store<f32>(pointer(1) + <usize>task * 4, token);
}

function drawn(uniform: f64, topK: i32, topP: f64): i32 {
  if (topK > 0 && topK < columns) cutAfter(ones, topK);
  if (topP < 1) cutAfter(weights, topP * total(weights));
  let left = uniform * total(likely);
  let token = 0;
  for (let i = 0; i < columns; i += 4) {
    const kept = measure(likely, i);
    for (let lane = 0; lane < kept; lane++) {
      const weight = load<f32>(measured + ((<usize>lane) << 2));
      if (weight === 0) continue;
      token = i + lane;
      left -= weight;
      if (left < 0) return token;
    }
  }
  return token; // rounding can leave a sliver after the last one
}

/** The largest of finite logits and −Inf; NaN where there are others, or no finite one. */
function largestLogit(): f32 {
  let most = f32x4.splat(-Infinity);
  for (let i = 0; i < columns; i += 4) most = f32x4.max(most, logitsAt(i));
  const found = largest(most); // NaN where there is one
  return Math.abs(found) < Infinity ? found : NaN;
}

function firstOf(logit: f32): i32 {
  let token = 0;
  while (load<f32>(logits + ((<usize>token) << 2)) !== logit) token++;
  return token;
}

function logitsAt(token: i32): v128 {
  return loadUpTo(logits + ((<usize>token) << 2), columns - token, -Infinity);
}

/** Puts what tokens `token` … count for into `measured`, 0 for those that the filters left out; returns how many there are, 0 where none counts. */
function measure(by: i32, token: i32): i32 {
  const values = logitsAt(token);
  const above = f32x4.gt(values, f32x4.splat(lastLogit));
  const ids = i32x4.add(i32x4.splat(token), i32x4(0, 1, 2, 3));
  const equal = v128.and(f32x4.eq(values, f32x4.splat(lastLogit)), i32x4.le_s(ids, i32x4.splat(lastToken)));
  const kept = v128.and(v128.or(above, equal), f32x4.ge(values, f32x4.splat(least)));
  if (!v128.any_true(kept)) return 0;
  let counts = f32x4.splat(1);
  if (by !== ones) {
    const x = f32x4.div(f32x4.sub(values, f32x4.splat(top)), f32x4.splat(temperature));
    counts = v128.and(exp(x), f32x4.ge(x, f32x4.splat(-87)));
    if (by === likely) counts = v128.and(counts, f32x4.ge(counts, f32x4.splat(minP)));
  }
  v128.store(measured, v128.and(counts, kept));
  return min(4, columns - token);
}

function total(by: i32): f64 {
  let sum: f64 = 0;
  for (let i = 0; i < columns; i += 4) {
    const kept = measure(by, i);
    for (let lane = 0; lane < kept; lane++) sum += load<f32>(measured + ((<usize>lane) << 2));
  }
  return sum;
}

/** Leaves the fewest tokens, in their order, that together count for `enough`: by the digits of their logits, as a radix sort would go. */
function cutAfter(by: i32, enough: f64): void {
  let key: u32 = 0;
  let held: f64 = 0;
  for (let pass = 0; pass < 3; pass++) {
    const shift = pass === 0 ? 21 : pass === 1 ? 10 : 0;
    const bits = pass === 2 ? 10 : 11;
    const digits = 1 << bits;
    memory.fill(sums, 0, digitSumBytes);
    for (let i = 0; i < columns; i += 4) {
      const kept = measure(by, i);
      for (let lane = 0; lane < kept; lane++) {
        const own = keyOf(i + lane);
        if (<u64>own >> (shift + bits) !== key) continue;
        const sum = sums + ((<usize>((own >> shift) & (digits - 1))) << 3);
        store<f64>(sum, load<f64>(sum) + load<f32>(measured + ((<usize>lane) << 2)));
      }
    }
    let lowest = 0;
    while (lowest < digits - 1 && !(load<f64>(sums + ((<usize>lowest) << 3)) > 0)) lowest++;
    let digit = digits - 1;
    for (; digit > lowest && held + load<f64>(sums + ((<usize>digit) << 3)) < enough; digit--)
      held += load<f64>(sums + ((<usize>digit) << 3));
    key = (key << bits) | digit;
    least = atLeast(key << shift);
  }
  let place = 0;
  for (let i = 0; i < columns && held < enough; i += 4) {
    const kept = measure(by, i);
    for (let lane = 0; lane < kept && held < enough; lane++) {
      const count = load<f32>(measured + ((<usize>lane) << 2));
      if (count === 0 || keyOf(i + lane) !== key) continue;
      place = i + lane;
      held += count;
    }
  }
  lastLogit = load<f32>(logits + ((<usize>place) << 2));
  lastToken = place;
  least = -Infinity;
}

/** A whole number in the order of the logits; one for both zeros. */
function keyOf(token: i32): u32 {
  const logit = load<f32>(logits + ((<usize>token) << 2));
  const word = logit === 0 ? 0 : reinterpret<i32>(logit);
  return <u32>(word ^ ((word >> 31) | 0x80000000));
}

/** The logit of a key, where there is one. */
function atLeast(key: u32): f32 {
  const logit = reinterpret<f32>(key >> 31 ? key ^ 0x80000000 : ~key);
  return Number.isNaN(logit) ? -Infinity : logit;
}
