// What a weight has beside its codes: a few entries of its rows (starts, columns, numbers; 32 bits each), whose products are added to those of the
// codes. Four rows of x are turned first, so that an entry meets all of them at once.

import { integer, pointer } from './argument';

/** Arguments: x, out, m, k. A task is a tile of four rows of x → [k][4], zeros for rows that are not there. */
export function turnTokens(task: i32): void {
  const k = <usize>integer(3);
  const to = pointer(1) + <usize>task * k * 16;
  for (let t = 0; t < 4; t++) {
    const row = task * 4 + t;
    const from = pointer(0) + <usize>row * k * 4;
    const exists = row < integer(2);
    for (let p: usize = 0; p < k; p++) store<f32>(to + (p << 4) + <usize>t * 4, exists ? load<f32>(from + (p << 2)) : 0);
  }
}

/** Arguments: turned x; starts, columns, numbers; out; m, k, rows of the weight; rows per task, tasks per tile. */
export function addSparse(task: i32): void {
  const starts = pointer(1);
  const columns = pointer(2);
  const numbers = pointer(3);
  const rows = integer(7);
  const share = integer(8);
  const tile = task / integer(9);
  const tokens = pointer(0) + <usize>tile * <usize>integer(6) * 16;
  const count = integer(5) - tile * 4;
  const first = (task % integer(9)) * share;
  const line = <usize>rows * 4;
  for (let row = first; row < min(first + share, rows); row++) {
    let sum = f32x4.splat(0);
    const end = <usize>load<u32>(starts + <usize>row * 4, 4);
    for (let i = <usize>load<u32>(starts + <usize>row * 4); i < end; i++) {
      const x = v128.load(tokens + ((<usize>load<u32>(columns + (i << 2))) << 4));
      sum = f32x4.add(sum, f32x4.mul(v128.load32_splat(numbers + (i << 2)), x));
    }
    const to = pointer(4) + <usize>(tile * 4) * line + <usize>row * 4;
    store<f32>(to, load<f32>(to) + f32x4.extract_lane(sum, 0));
    if (count > 1) store<f32>(to + line, load<f32>(to + line) + f32x4.extract_lane(sum, 1));
    if (count > 2) store<f32>(to + 2 * line, load<f32>(to + 2 * line) + f32x4.extract_lane(sum, 2));
    if (count > 3) store<f32>(to + 3 * line, load<f32>(to + 3 * line) + f32x4.extract_lane(sum, 3));
  }
}

/** Arguments: starts, columns, numbers; out, its columns; then the row of the weight for each task. */
export function putEntries(task: i32): void {
  const at = pointer(0) + <usize>integer(5 + task) * 4;
  const out = pointer(3) + <usize>task * <usize>integer(4) * 4;
  const end = <usize>load<u32>(at, 4);
  for (let i = <usize>load<u32>(at); i < end; i++) {
    store<f32>(out + ((<usize>load<u32>(pointer(1) + (i << 2))) << 2), load<f32>(pointer(2) + (i << 2)));
  }
}
