// A product with few rows (decoding) reads each weight once: dot products over the rows of w as they lie.

import { integer, pointer } from './argument';
import { fourDots } from './short-floats';
import { loadUpTo, madd, storeUpTo, sum } from './vector';

/** c [m, n] = x·wᵀ + bias, m ≤ 4. Arguments: x, w, c, bias or 0, m, k, n, columns per task. */
export function multiplyRows(task: i32): void {
  const x = pointer(0);
  const c = pointer(2);
  const bias = pointer(3);
  const m = integer(4);
  const k = integer(5);
  const n = integer(6);
  const share = integer(7);
  const row = <usize>k * 4;
  const last = min(n, (task + 1) * share);
  for (let j = task * share; j < last; j++) {
    const w = pointer(1) + <usize>j * row;
    const start = bias ? load<f32>(bias + <usize>j * 4) : 0;
    if (m === 1) {
      store<f32>(c + <usize>j * 4, start + dot(x, w, k));
    } else {
      for (let i = 0; i < m; i += 2) {
        const other = min(i + 1, m - 1);
        dotPair(x + <usize>i * row, x + <usize>other * row, w, k, start, c + (<usize>i * n + j) * 4, c + (<usize>other * n + j) * 4);
      }
    }
  }
}

/** The same for w in bf16. */
export function multiplyRowsShort(task: i32): void {
  const bias = pointer(3);
  const m = integer(4);
  const k = integer(5);
  const n = integer(6);
  const share = integer(7);
  const row = <usize>k * 2;
  const last = min(n, (task + 1) * share);
  for (let j = task * share, count = 4; j < last; j += count) {
    if (last - j < 4) count = 1;
    for (let i = 0; i < m; i++) {
      const sums = fourDots(pointer(0) + <usize>i * row * 2, pointer(1) + <usize>j * row, count === 4 ? row : 0, k);
      const start = bias ? loadUpTo(bias + <usize>j * 4, count, 0) : f32x4.splat(0);
      storeUpTo(pointer(2) + (<usize>i * <usize>n + j) * 4, count, f32x4.add(start, sums));
    }
  }
}

/** Σ a·b over k floats, in sixteen partial sums. */
export function dot(a: usize, b: usize, k: i32): f32 {
  let s0 = f32x4.splat(0),
    s1 = f32x4.splat(0),
    s2 = f32x4.splat(0),
    s3 = f32x4.splat(0);
  let p = k;
  for (; p >= 16; p -= 16) {
    s0 = madd(v128.load(a), v128.load(b), s0);
    s1 = madd(v128.load(a, 16), v128.load(b, 16), s1);
    s2 = madd(v128.load(a, 32), v128.load(b, 32), s2);
    s3 = madd(v128.load(a, 48), v128.load(b, 48), s3);
    a += 64;
    b += 64;
  }
  for (; p >= 4; p -= 4) {
    s0 = madd(v128.load(a), v128.load(b), s0);
    a += 16;
    b += 16;
  }
  let total = sum(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
  for (; p > 0; p--) {
    total += load<f32>(a) * load<f32>(b);
    a += 4;
    b += 4;
  }
  return total;
}

/** Two dot products that read w once. */
function dotPair(x: usize, y: usize, w: usize, k: i32, start: f32, outX: usize, outY: usize): void {
  let x0 = f32x4.splat(0),
    x1 = f32x4.splat(0),
    y0 = f32x4.splat(0),
    y1 = f32x4.splat(0);
  let p = k;
  for (; p >= 8; p -= 8) {
    const w0 = v128.load(w);
    const w1 = v128.load(w, 16);
    x0 = madd(v128.load(x), w0, x0);
    x1 = madd(v128.load(x, 16), w1, x1);
    y0 = madd(v128.load(y), w0, y0);
    y1 = madd(v128.load(y, 16), w1, y1);
    x += 32;
    y += 32;
    w += 32;
  }
  let totalX = sum(f32x4.add(x0, x1));
  let totalY = sum(f32x4.add(y0, y1));
  for (; p > 0; p--) {
    totalX += load<f32>(x) * load<f32>(w);
    totalY += load<f32>(y) * load<f32>(w);
    x += 4;
    y += 4;
    w += 4;
  }
  store<f32>(outX, start + totalX);
  store<f32>(outY, start + totalY);
}
