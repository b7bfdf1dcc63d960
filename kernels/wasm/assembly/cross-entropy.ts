// −log softmax, one row per task.

import { integer, pointer } from './argument';
import { exp } from './functions';
import { addWidened, largest, loadUpTo, sumDouble } from './vector';

/** Arguments: logits, out [m], columns; then the target of each row: log Σ exp(logit − largest) + largest − logit[target]. */
export function crossEntropy(task: i32): void {
  const columns = integer(2);
  const row = pointer(0) + <usize>task * <usize>columns * 4;
  let top = f32x4.splat(-Infinity);
  for (let j = 0; j < columns; j += 4) top = f32x4.pmax(top, loadUpTo(row + <usize>j * 4, columns - j, -Infinity));
  const most = largest(top);
  const shift = f32x4.splat(most);
  let total = f64x2.splat(0);
  for (let j = 0; j < columns; j += 4)
    total = addWidened(total, exp(f32x4.sub(loadUpTo(row + <usize>j * 4, columns - j, -Infinity), shift)));
  const target = load<f32>(row + pointer(3 + task) * 4);
  store<f32>(pointer(1) + <usize>task * 4, <f32>(Math.log(sumDouble(total)) + <f64>most - <f64>target));
}
