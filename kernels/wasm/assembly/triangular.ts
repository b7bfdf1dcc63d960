// The triangular half of the Cholesky chain, in float64, by blocks of 60 (Golub and Van Loan, "Matrix Computations", 4th ed., sections 4.2 and 3.1):
// what is left of each step is a product, done by the register tile.

import { blockSize, taskColumns, tileColumnsDouble, tileRows } from '../src/control';
import { integer, pointer } from './argument';
import { tileProductDouble } from './micro-kernel';
import { addTileDouble } from './multiply';
import { packLeft, packRightDouble } from './pack';
import { maddDouble, nmaddDouble, sumDouble } from './vector';

/** Factors a block in place, L·Lᵀ, lower part only. Arguments: block, bytes between rows, size, where to store 1 when it is not positive definite. */
export function choleskyDiagonal(): void {
  const a = pointer(0);
  const row = pointer(1);
  const size = integer(2);
  for (let j = 0; j < size; j++) {
    const pivotRow = a + <usize>j * row;
    const pivot = load<f64>(pivotRow + <usize>j * 8) - dotDouble(pivotRow, pivotRow, j);
    if (!(pivot > 0 && pivot < Infinity)) {
      store<f64>(pointer(3), 1);
      return;
    }
    const root = sqrt(pivot);
    store<f64>(pivotRow + <usize>j * 8, root);
    for (let i = j + 1; i < size; i++) {
      const at = a + <usize>i * row;
      store<f64>(at + <usize>j * 8, (load<f64>(at + <usize>j * 8) - dotDouble(at, pivotRow, j)) / root);
    }
  }
}

/** Panel rows x ← x·L⁻ᵀ, four at a time. Arguments: L, bytes between rows, size, x, rows. A task is four rows. */
export function choleskyPanel(task: i32): void {
  const lower = pointer(0);
  const row = pointer(1);
  const size = integer(2);
  const first = task * 4;
  const last = integer(4) - 1;
  // Past the end the last row stands in for the missing ones: the same values are written again.
  const x0 = pointer(3) + <usize>first * row;
  const x1 = pointer(3) + <usize>min(first + 1, last) * row;
  const x2 = pointer(3) + <usize>min(first + 2, last) * row;
  const x3 = pointer(3) + <usize>min(first + 3, last) * row;
  for (let j = 0; j < size; j++) {
    const l = lower + <usize>j * row;
    let s0 = f64x2.splat(0),
      s1 = f64x2.splat(0),
      s2 = f64x2.splat(0),
      s3 = f64x2.splat(0);
    let at: usize = 0;
    const whole = <usize>(j & ~1) * 8;
    for (; at < whole; at += 16) {
      const right = v128.load(l + at);
      s0 = maddDouble(v128.load(x0 + at), right, s0);
      s1 = maddDouble(v128.load(x1 + at), right, s1);
      s2 = maddDouble(v128.load(x2 + at), right, s2);
      s3 = maddDouble(v128.load(x3 + at), right, s3);
    }
    const odd = (j & 1) !== 0;
    const right: f64 = odd ? load<f64>(l + at) : 0;
    let t0 = sumDouble(s0),
      t1 = sumDouble(s1),
      t2 = sumDouble(s2),
      t3 = sumDouble(s3);
    if (odd) {
      t0 += load<f64>(x0 + at) * right;
      t1 += load<f64>(x1 + at) * right;
      t2 += load<f64>(x2 + at) * right;
      t3 += load<f64>(x3 + at) * right;
    }
    const end = <usize>j * 8;
    const pivot = load<f64>(l + end);
    const r0 = (load<f64>(x0 + end) - t0) / pivot;
    const r1 = (load<f64>(x1 + end) - t1) / pivot;
    const r2 = (load<f64>(x2 + end) - t2) / pivot;
    const r3 = (load<f64>(x3 + end) - t3) / pivot;
    store<f64>(x0 + end, r0);
    store<f64>(x1 + end, r1);
    store<f64>(x2 + end, r2);
    store<f64>(x3 + end, r3);
  }
}

/**
 * 64 columns of X = L⁻¹, downwards: X_i = L_ii⁻¹·(1_i − Σ_p L_ip·X_p). Arguments: L (lower part read), X (zero), n. A task is a strip of columns, of which the
 * first, the longest, is taken first. Scratch: tile, block [60, 64], left panels [60, n], right panels [n, 64].
 */
export function inverseLower(task: i32, scratch: usize): void {
  const lower = pointer(0);
  const inverse = pointer(1);
  const n = integer(2);
  const row = <usize>n * 8;
  const firstColumn = ((n + taskColumns - 1) / taskColumns - 1 - task) * taskColumns;
  const columns = min(n - firstColumn, taskColumns);
  const block = scratch + 256;
  const lefts = block + blockSize * taskColumns * 8;
  const rights = lefts + <usize>blockSize * row;
  const strip = <usize>n * (tileColumnsDouble * 8);
  for (let i = firstColumn; i < n; i += blockSize) {
    const size = min(blockSize, n - i);
    const deep = i - firstColumn;
    memory.fill(block, 0, blockSize * taskColumns * 8);
    for (let r = 0; r < size; r += tileRows) {
      const panel = lefts + <usize>(r * deep) * 8;
      packLeft<f64>(lower + <usize>(i + r) * row + <usize>firstColumn * 8, row, 8, min(size - r, tileRows), deep, panel);
      for (let j = 0; j < columns; j += tileColumnsDouble) {
        tileProductDouble(panel, rights + <usize>(j / tileColumnsDouble) * strip, deep, scratch);
        addTileDouble(scratch, -1, block + <usize>(r * taskColumns + j) * 8, taskColumns * 8, min(size - r, tileRows), tileColumnsDouble);
      }
    }
    for (let r = max(0, firstColumn - i); r < size && i + r < firstColumn + columns; r++) {
      const at = block + <usize>(r * taskColumns + i + r - firstColumn) * 8;
      store<f64>(at, load<f64>(at) + 1);
    }
    solveBlock(lower + <usize>i * row + <usize>i * 8, row, size, block, columns);
    for (let r = 0; r < size; r++) {
      memory.copy(inverse + <usize>(i + r) * row + <usize>firstColumn * 8, block + <usize>(r * taskColumns) * 8, <usize>columns * 8);
    }
    for (let j = 0; j < columns; j += tileColumnsDouble) {
      const to = rights + <usize>(j / tileColumnsDouble) * strip + <usize>deep * (tileColumnsDouble * 8);
      packRightDouble(block + <usize>j * 8, taskColumns * 8, 8, tileColumnsDouble, size, to);
    }
  }
}

/** block [size, 64] ← L⁻¹·block, for the triangular block at `lower`; eight columns stay in registers. */
function solveBlock(lower: usize, row: usize, size: i32, block: usize, columns: i32): void {
  for (let j = 0; j < columns; j += 8) {
    const top = block + <usize>j * 8;
    for (let r = 0; r < size; r++) {
      const l = lower + <usize>r * row;
      const at = top + <usize>(r * taskColumns) * 8;
      let x0 = v128.load(at),
        x1 = v128.load(at, 16),
        x2 = v128.load(at, 32),
        x3 = v128.load(at, 48);
      let above = top;
      for (let q = 0; q < r; q++) {
        const left = v128.load_splat<f64>(l + <usize>q * 8);
        x0 = nmaddDouble(left, v128.load(above), x0);
        x1 = nmaddDouble(left, v128.load(above, 16), x1);
        x2 = nmaddDouble(left, v128.load(above, 32), x2);
        x3 = nmaddDouble(left, v128.load(above, 48), x3);
        above += taskColumns * 8;
      }
      const inverse = f64x2.splat(1 / load<f64>(l + <usize>r * 8));
      v128.store(at, f64x2.mul(x0, inverse));
      v128.store(at, f64x2.mul(x1, inverse), 16);
      v128.store(at, f64x2.mul(x2, inverse), 32);
      v128.store(at, f64x2.mul(x3, inverse), 48);
    }
  }
}

function dotDouble(a: usize, b: usize, k: i32): f64 {
  let s0 = f64x2.splat(0),
    s1 = f64x2.splat(0);
  let p = k;
  for (; p >= 4; p -= 4) {
    s0 = maddDouble(v128.load(a), v128.load(b), s0);
    s1 = maddDouble(v128.load(a, 16), v128.load(b, 16), s1);
    a += 32;
    b += 32;
  }
  let total = sumDouble(f64x2.add(s0, s1));
  for (; p > 0; p--) {
    total += load<f64>(a) * load<f64>(b);
    a += 8;
    b += 8;
  }
  return total;
}
