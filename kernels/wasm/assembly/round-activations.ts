// Inputs as a layer with rounded activations sees them: codes and back.

import { maskColumns } from '../src/control';
import { integer, pointer, real } from './argument';
import {
  allFinite,
  codesOf,
  endFit,
  fitRun,
  half,
  kindHalves,
  reached,
  runScale,
  runZero,
  startFit,
  valuesAt,
  widenFit,
} from './rounding-scale';
import { loadUpTo, storeUpTo } from './vector';

/** Marks the features that stay: all bits where no value of the column reaches the threshold. Arguments: x, mask, rows, columns, values from row to row; then the rounding. */
export function outlierMask(task: i32): void {
  const columns = integer(3);
  const stride = integer(4);
  for (let j = task * maskColumns; j < min(columns, (task + 1) * maskColumns); j += 4) {
    let any = i32x4.splat(0);
    for (let i = 0; i < integer(2); i++) {
      any = v128.or(any, reached(loadUpTo(pointer(0) + (<usize>i * <usize>stride + <usize>j) * 4, columns - j, 0)));
    }
    v128.store(pointer(1) + <usize>j * 4, v128.not(any));
  }
}

/** Where the arguments of `roundActivations` go on behind the rounding. */
const strideAt = 21;
const shareAt = 22;

/** Arguments: x, out, rows, columns, 0, mask or 0; the rounding; values from row to row, rows per task. */
export function roundActivations(task: i32): void {
  const columns = integer(3);
  const share = integer(shareAt);
  const group = integer(6);
  const mask = pointer(5);
  for (let i = task * share; i < min(integer(2), (task + 1) * share); i++) {
    const at = <usize>i * <usize>integer(strideAt) * 4;
    const x = pointer(0) + at;
    const out = pointer(1) + at;
    if (!allFinite(x, columns)) {
      putNaN(out, columns);
      continue;
    }
    for (let j = 0; j < columns; j += group) {
      const count = min(group, columns - j);
      fitRun(x + <usize>j * 4, count, mask !== 0);
      roundPart(x + <usize>j * 4, out + <usize>j * 4, count, mask === 0 ? 0 : mask + <usize>j * 4);
    }
  }
}

/** As `roundActivations` for a scale of several rows, or of runs that go on from row to row; a task is what shares one. */
export function roundTile(task: i32): void {
  startFit();
  eachPart(task, false);
  endFit();
  eachPart(task, true);
}

/** The parts of rows that a tile covers: taken in, or rounded. */
function eachPart(tile: i32, rounds: bool): void {
  const rows = integer(2);
  const columns = integer(3);
  const group = integer(6);
  const tall = integer(18);
  if (tall === 0) {
    const end = min((tile + 1) * group, rows * columns);
    for (let at = tile * group; at < end; ) {
      const count = min(columns - (at % columns), end - at);
      visit(at / columns, at % columns, count, rounds);
      at += count;
    }
    return;
  }
  const across = (columns + group - 1) / group;
  const first = (tile % across) * group;
  const top = (tile / across) * tall;
  for (let row = top; row < min(top + tall, rows); row++) visit(row, first, min(group, columns - first), rounds);
}

/** Part of a row; a damaged row counts as zeros and becomes NaN. */
function visit(row: i32, first: i32, count: i32, rounds: bool): void {
  const start = <usize>row * <usize>integer(strideAt) * 4;
  const at = start + <usize>first * 4;
  const mask = pointer(5) === 0 ? 0 : pointer(5) + <usize>first * 4;
  const sound = allFinite(pointer(0) + start, integer(3));
  if (!rounds) widenFit(sound ? pointer(0) + at : 0, count, mask !== 0);
  else if (sound) roundPart(pointer(0) + at, pointer(1) + at, count, mask);
  else putNaN(pointer(1) + at, count);
}

function putNaN(out: usize, count: i32): void {
  for (let j = 0; j < count; j += 4) storeUpTo(out + <usize>j * 4, count - j, f32x4.splat(NaN));
}

/** Values of the scale that was found. */
function roundPart(x: usize, out: usize, count: i32, mask: usize): void {
  if (integer(7) === kindHalves) {
    roundHalves(x, out, count, mask);
    return;
  }
  const step = f32x4.splat(runScale);
  const middle = f32x4.splat(runZero);
  for (let j = 0; j < count; j += 4) {
    put(out, x, j, count, mask, f32x4.mul(f32x4.sub(codesOf(valuesAt(x, j, count, mask !== 0)), middle), step));
  }
}

/** LLM.int8(). */
function roundHalves(x: usize, out: usize, count: i32, mask: usize): void {
  const steps = <f32>real(8);
  const absmax = runScale;
  const perUnit: f32 = absmax === 0 ? 0 : <f32>(<f32>1 / absmax) * steps;
  const perStep: f32 = <f32>1 / steps;
  for (let j = 0; j < count; j += 4) {
    const seen = absmax === 0 ? f32x4.splat(0) : half(valuesAt(x, j, count, mask !== 0));
    const code = f32x4.nearest(f32x4.mul(seen, f32x4.splat(perUnit)));
    // + 0: no −0
    const inside = f32x4.add(f32x4.max(f32x4.splat(-steps), f32x4.min(f32x4.splat(steps), code)), f32x4.splat(0));
    put(out, x, j, count, mask, f32x4.mul(f32x4.mul(inside, f32x4.splat(absmax)), f32x4.splat(perStep)));
  }
}

/** Stores what was rounded, and outlier features as they are. */
function put(out: usize, x: usize, j: i32, count: i32, mask: usize, rounded: v128): void {
  const at = <usize>j * 4;
  const value = mask === 0 ? rounded : v128.bitselect(rounded, loadUpTo(x + at, count - j, 0), v128.load(mask + at));
  storeUpTo(out + at, count - j, value);
}
