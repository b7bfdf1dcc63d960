// Normalisation of segments, sums in double. A task is some segments.

import { integer, pointer, real } from './argument';
import { addWidened, loadUpTo, storeUpTo, sumDouble } from './vector';

/** x / rms(x) · (gain + offset). Arguments: x, gain, out, segments, size, segments per task, epsilon, offset. */
export function rmsNorm(task: i32): void {
  const size = integer(4);
  const share = integer(5);
  const offset = f32x4.splat(<f32>real(7));
  const gain = pointer(1);
  for (let i = task * share; i < min(integer(3), (task + 1) * share); i++) {
    const x = pointer(0) + <usize>i * <usize>size * 4;
    const out = pointer(2) + <usize>i * <usize>size * 4;
    const inverse = f32x4.splat(<f32>(1 / sqrt(squares(x, size, f32x4.splat(0)) / <f64>size + real(6))));
    for (let j = 0; j < size; j += 4) {
      const at = <usize>j * 4;
      const factor = f32x4.add(loadUpTo(gain + at, size - j, 0), offset);
      storeUpTo(out + at, size - j, f32x4.mul(f32x4.mul(loadUpTo(x + at, size - j, 0), inverse), factor));
    }
  }
}

/** (x − mean) / deviation · gain + bias. Arguments: x, gain, out, segments, size, segments per task, epsilon, bias. */
export function layerNorm(task: i32): void {
  const size = integer(4);
  const share = integer(5);
  const gain = pointer(1);
  const bias = pointer(7);
  for (let i = task * share; i < min(integer(3), (task + 1) * share); i++) {
    const x = pointer(0) + <usize>i * <usize>size * 4;
    const out = pointer(2) + <usize>i * <usize>size * 4;
    let total = f64x2.splat(0);
    for (let j = 0; j < size; j += 4) total = addWidened(total, loadUpTo(x + <usize>j * 4, size - j, 0));
    const mean = f32x4.splat(<f32>(sumDouble(total) / <f64>size));
    const inverse = f32x4.splat(<f32>(1 / sqrt(squares(x, size, mean) / <f64>size + real(6))));
    for (let j = 0; j < size; j += 4) {
      const at = <usize>j * 4;
      const unit = f32x4.mul(f32x4.sub(loadUpTo(x + at, size - j, 0), mean), inverse);
      storeUpTo(out + at, size - j, f32x4.add(f32x4.mul(unit, loadUpTo(gain + at, size - j, 0)), loadUpTo(bias + at, size - j, 0)));
    }
  }
}

/** Σ (x − mean)². */
function squares(x: usize, size: i32, mean: v128): f64 {
  let total = f64x2.splat(0);
  for (let j = 0; j < size; j += 4) {
    const left = f32x4.sub(loadUpTo(x + <usize>j * 4, size - j, f32x4.extract_lane(mean, 0)), mean);
    total = addWidened(total, f32x4.mul(left, left));
  }
  return sumDouble(total);
}
