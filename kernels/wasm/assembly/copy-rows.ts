// Rows as they are.

import { integer, pointer } from './argument';
import { widenRow } from './short-floats';

/** Arguments: from, bytes between its rows, out, bytes between its rows, bytes of a row, rows, rows per task. */
export function copyRows(task: i32): void {
  const share = integer(6);
  for (let i = task * share; i < min(integer(5), (task + 1) * share); i++) {
    memory.copy(pointer(2) + <usize>i * pointer(3), pointer(0) + <usize>i * pointer(1), pointer(4));
  }
}

/** Arguments: table, out, columns, 1 for a table in bf16; then the row of the table for each task. */
export function pickRow(task: i32): void {
  const columns = integer(2);
  const out = pointer(1) + <usize>task * <usize>columns * 4;
  const row = pointer(4 + task) * <usize>columns;
  if (integer(3)) widenRow(pointer(0) + row * 2, columns, out);
  else memory.copy(out, pointer(0) + row * 4, <usize>columns * 4);
}

/** Arguments: from, order, out, columns, 1 for the way back. A task is a row. */
export function permuteColumns(task: i32): void {
  const bytes = <usize>integer(3) * 4;
  const order = pointer(1);
  const from = pointer(0) + <usize>task * bytes;
  const out = pointer(2) + <usize>task * bytes;
  if (integer(4)) {
    for (let at: usize = 0; at < bytes; at += 4) store<f32>(out + ((<usize>load<u32>(order + at)) << 2), load<f32>(from + at));
  } else {
    for (let at: usize = 0; at < bytes; at += 4) store<f32>(out + at, load<f32>(from + ((<usize>load<u32>(order + at)) << 2)));
  }
}
