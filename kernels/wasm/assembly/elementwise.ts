// Value by value. Allocations are whole cache lines, so the last vector of a flat tensor may reach past its end.

import { taskValues } from '../src/control';
import { integer, pointer, real } from './argument';
import { activation, capped } from './functions';
import { loadUpTo, storeUpTo } from './vector';

/** Arguments: a, b, out, rows, columns, bytes between rows of b (0: one row for all), rows per task. */
export function add(task: i32): void {
  const columns = integer(4);
  const share = integer(6);
  const row = <usize>columns * 4;
  for (let i = task * share; i < min(integer(3), (task + 1) * share); i++) {
    const a = pointer(0) + <usize>i * row;
    const b = pointer(1) + <usize>i * pointer(5);
    const out = pointer(2) + <usize>i * row;
    for (let j = 0; j < columns; j += 4) {
      const at = <usize>j * 4;
      storeUpTo(out + at, columns - j, f32x4.add(loadUpTo(a + at, columns - j, 0), loadUpTo(b + at, columns - j, 0)));
    }
  }
}

/** Arguments: x, out, values, factor. */
export function scale(task: i32): void {
  const x = pointer(0);
  const out = pointer(1);
  const by = f32x4.splat(<f32>real(3));
  const end = last(task, integer(2));
  for (let at = first(task); at < end; at += 16) v128.store(out + at, f32x4.mul(v128.load(x + at), by));
}

/** Arguments: x, out, values, cap. */
export function softcap(task: i32): void {
  const x = pointer(0);
  const out = pointer(1);
  const cap = <f32>real(3);
  const end = last(task, integer(2));
  for (let at = first(task); at < end; at += 16) v128.store(out + at, capped(v128.load(x + at), cap));
}

/** Arguments: x, out, values, activation. */
export function activate(task: i32): void {
  const x = pointer(0);
  const out = pointer(1);
  const kind = integer(3);
  const end = last(task, integer(2));
  for (let at = first(task); at < end; at += 16) v128.store(out + at, activation(v128.load(x + at), kind));
}

/** Arguments: gate, out, values, activation, up. */
export function gated(task: i32): void {
  const gate = pointer(0);
  const out = pointer(1);
  const kind = integer(3);
  const up = pointer(4);
  const end = last(task, integer(2));
  for (let at = first(task); at < end; at += 16) {
    v128.store(out + at, f32x4.mul(activation(v128.load(gate + at), kind), v128.load(up + at)));
  }
}

function first(task: i32): usize {
  return <usize>task * (taskValues * 4);
}

function last(task: i32, values: i32): usize {
  return min(<usize>(task + 1) * (taskValues * 4), <usize>values * 4);
}
