// Rotary position embedding (Su et al. 2021, eq. 34), half-split order.

import { integer, pointer, real } from './argument';
import { loadUpTo, storeUpTo } from './vector';

/** Arguments: x, out, width, head size, amplitude, start, pairs; then their frequencies. A task is a row. Scratch: its cosines and sines. */
export function rotate(task: i32, scratch: usize): void {
  const width = <usize>integer(2) * 4;
  const head = <usize>integer(3) * 4;
  const pairs = integer(6);
  const half = <usize>pairs * 4;
  const x = pointer(0) + <usize>task * width;
  const out = pointer(1) + <usize>task * width;
  turns(real(5) + <f64>task, pairs, real(4), scratch);
  memory.copy(out, x, width);
  for (let at: usize = 0; at < width; at += head) {
    for (let p = 0; p < pairs; p += 4) {
      const left = pairs - p;
      const low = at + <usize>p * 4;
      const cos = v128.load(scratch + <usize>p * 4);
      const sin = v128.load(scratch + half + 16 + <usize>p * 4);
      const a = loadUpTo(x + low, left, 0);
      const b = loadUpTo(x + low + half, left, 0);
      storeUpTo(out + low, left, f32x4.sub(f32x4.mul(a, cos), f32x4.mul(b, sin)));
      storeUpTo(out + low + half, left, f32x4.add(f32x4.mul(b, cos), f32x4.mul(a, sin)));
    }
  }
}

/**
 * cos and sin of position·frequency, times amplitude: reduced to |r| ≤ π/4 in double, then Taylor polynomials to r¹³, whose error is below 1e-12.
 */
function turns(position: f64, pairs: i32, amplitude: f64, out: usize): void {
  const sines = out + <usize>pairs * 4 + 16;
  for (let p = 0; p < pairs; p++) {
    const angle = position * real(7 + p);
    const quarter = nearest(angle * (2 / Math.PI));
    const r = angle - quarter * (Math.PI / 2);
    const s = r * r;
    const sin =
      r * (1 + s * (-1.0 / 6 + s * (1.0 / 120 + s * (-1.0 / 5040 + s * (1.0 / 362880 + s * (-1.0 / 39916800 + s / 6227020800.0))))));
    const cos = 1 + s * (-1.0 / 2 + s * (1.0 / 24 + s * (-1.0 / 720 + s * (1.0 / 40320 + s * (-1.0 / 3628800 + s / 479001600.0)))));
    const turn = <i32>(<i64>quarter & 3);
    const flipCos = turn === 1 || turn === 2;
    const flipSin = turn >= 2;
    const c = (turn & 1 ? sin : cos) * amplitude;
    const d = (turn & 1 ? cos : sin) * amplitude;
    store<f32>(out + <usize>p * 4, <f32>(flipCos ? -c : c));
    store<f32>(sines + <usize>p * 4, <f32>(flipSin ? -d : d));
  }
}
