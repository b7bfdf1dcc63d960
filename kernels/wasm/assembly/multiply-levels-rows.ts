// x·wᵀ + bias for w in codes of levels and few rows of x (decoding). Codes are decoded in registers, for each row of x anew; where spans are no multiples of
// sixteen, each run of a row of w is decoded once, to where the first-level cache holds it.

import { codingBytes, codingE4m3, codingNibbles } from '../src/control';
import { integer, pointer } from './argument';
import { decodeRun } from './decode-levels';
import { dotBytes, dotE4m3, dotE5m2, dotNibbles } from './dot-levels';
import { dot } from './multiply-rows';
import { PackedLevels } from './packed-levels';

/** c [m, n] = x·wᵀ + bias, m ≤ 4. Arguments: x, w, c, bias or 0, m, k, n, columns per task. Scratch: a decoded run. */
export function multiplyLevelsRows(task: i32, scratch: usize): void {
  const x = pointer(0);
  const w = changetype<PackedLevels>(pointer(1));
  const bias = pointer(3);
  const m = integer(4);
  const n = integer(6);
  const share = integer(7);
  const whole = w.whole;
  const last = min(n, (task + 1) * share);
  for (let j = task * share; j < last; j++) {
    const c = pointer(2) + <usize>j * 4;
    const start: f32 = bias ? load<f32>(bias + <usize>j * 4) : 0;
    if (!whole) byRuns(w, j, x, m, start, c, <usize>n * 4, scratch);
    else for (let i = 0; i < m; i++) store<f32>(c + <usize>(i * n) * 4, start + dotRow(w, j, x + <usize>(i * w.cols) * 4));
  }
}

function dotRow(w: PackedLevels, row: i32, x: usize): f32 {
  const coding = w.coding;
  if (coding === codingNibbles) return dotNibbles(w, row, x);
  if (coding === codingBytes) return dotBytes(w, row, x);
  return coding === codingE4m3 ? dotE4m3(w, row, x) : dotE5m2(w, row, x);
}

/** Results of one row of w, `stride` bytes apart. */
function byRuns(w: PackedLevels, row: i32, x: usize, m: i32, start: f32, c: usize, stride: usize, decoded: usize): void {
  const k = w.cols;
  for (let i = 0; i < m; i++) store<f32>(c + <usize>i * stride, start);
  for (let first = 0, count = 0; first < k; first += count) {
    count = w.run(first);
    decodeRun(w, row, first, count, decoded);
    for (let i = 0; i < m; i++) {
      const at = c + <usize>i * stride;
      store<f32>(at, load<f32>(at) + dot(x + <usize>(i * k + first) * 4, decoded, count));
    }
  }
}

/** A row of the weight as float32. Arguments: packed weight, out; then the row for each task. Scratch: a decoded run. */
export function decodeLevels(task: i32, scratch: usize): void {
  const w = changetype<PackedLevels>(pointer(0));
  const out = pointer(1) + <usize>task * <usize>w.cols * 4;
  for (let first = 0, count = 0; first < w.cols; first += count) {
    count = w.run(first);
    decodeRun(w, integer(2 + task), first, count, scratch);
    memory.copy(out + <usize>first * 4, scratch, <usize>count * 4);
  }
}
