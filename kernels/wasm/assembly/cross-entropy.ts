// The sums of softmax, one row per task; the host takes the logarithm.

import { integer, pointer } from './argument';
import { exp } from './functions';
import { addWidened, largest, loadUpTo, sumDouble } from './vector';

/** Arguments: logits, out [m, 2] in float64, columns. A row of `out` is (largest, Σ exp(logit − largest)). */
export function crossEntropy(task: i32): void {
  const columns = integer(2);
  const row = pointer(0) + <usize>task * <usize>columns * 4;
  const out = pointer(1) + <usize>task * 16;
  let top = f32x4.splat(-Infinity);
  for (let j = 0; j < columns; j += 4) top = f32x4.pmax(top, loadUpTo(row + <usize>j * 4, columns - j, -Infinity));
  const most = largest(top);
  const shift = f32x4.splat(most);
  let total = f64x2.splat(0);
  for (let j = 0; j < columns; j += 4)
    total = addWidened(total, exp(f32x4.sub(loadUpTo(row + <usize>j * 4, columns - j, -Infinity), shift)));
  store<f64>(out, <f64>most);
  store<f64>(out, sumDouble(total), 8);
}
