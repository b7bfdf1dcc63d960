// Panels for the micro kernel: along k, the operands of one tile stand side by side; what lies outside of the matrix is zero.
// Matrices are given by the bytes from one row, and from one column, to the next.

import { tileColumns, tileColumnsDouble, tileRows } from '../src/control';

/** Rows 0 … rows − 1 (at most 5) of a [·, k] → one left panel [k, 5]. */
export function packLeft<T>(a: usize, row: usize, column: usize, rows: i32, k: i32, panel: usize): void {
  for (let i = 0; i < tileRows; i++) {
    let from = a + <usize>i * row;
    let to = panel + <usize>i * sizeof<T>();
    for (let p = 0; p < k; p++) {
      store<T>(to, i < rows ? load<T>(from) : <T>0);
      from += column;
      to += tileRows * sizeof<T>();
    }
  }
}

/** Columns 0 … columns − 1 of b [k, ·] → right panels [k, 8] of float32, one after the other. */
export function packRight(b: usize, row: usize, column: usize, columns: i32, k: i32, panels: usize): void {
  for (let j = 0; j < columns; j += tileColumns) {
    const from = b + <usize>j * column;
    if (columns - j < tileColumns) packRagged<f32>(from, row, column, columns - j, k, panels, tileColumns);
    else if (column === 4) packStraight(from, row, k, panels);
    else packTransposed(from, row, column, k, panels);
    panels += <usize>k * (tileColumns * 4);
  }
}

/** Columns 0 … columns − 1 of b [k, ·] → right panels [k, 4] of float64, one after the other. */
export function packRightDouble(b: usize, row: usize, column: usize, columns: i32, k: i32, panels: usize): void {
  for (let j = 0; j < columns; j += tileColumnsDouble) {
    const from = b + <usize>j * column;
    if (columns - j < tileColumnsDouble) packRagged<f64>(from, row, column, columns - j, k, panels, tileColumnsDouble);
    else packFourDouble(from, row, column, k, panels);
    panels += <usize>k * (tileColumnsDouble * 8);
  }
}

function packRagged<T>(from: usize, row: usize, column: usize, columns: i32, k: i32, to: usize, width: i32): void {
  for (let p = 0; p < k; p++) {
    let at = from;
    for (let j = 0; j < width; j++) {
      store<T>(to, j < columns ? load<T>(at) : <T>0);
      at += column;
      to += sizeof<T>();
    }
    from += row;
  }
}

function packFourDouble(from: usize, row: usize, column: usize, k: i32, to: usize): void {
  for (let p = 0; p < k; p++) {
    store<f64>(to, load<f64>(from));
    store<f64>(to, load<f64>(from + column), 8);
    store<f64>(to, load<f64>(from + 2 * column), 16);
    store<f64>(to, load<f64>(from + 3 * column), 24);
    from += row;
    to += 32;
  }
}

function packStraight(from: usize, row: usize, k: i32, to: usize): void {
  for (let p = 0; p < k; p++) {
    v128.store(to, v128.load(from));
    v128.store(to, v128.load(from, 16), 16);
    from += row;
    to += 32;
  }
}

/** Eight columns whose values follow each other in memory, four by four. */
function packTransposed(from: usize, row: usize, column: usize, k: i32, to: usize): void {
  let p = 0;
  for (; p + 4 <= k; p += 4) {
    transpose4(from, column, to);
    transpose4(from + 4 * column, column, to + 16);
    from += 16;
    to += 128;
  }
  packRagged<f32>(from, row, column, tileColumns, k - p, to, tileColumns);
}

function transpose4(from: usize, column: usize, to: usize): void {
  const a = v128.load(from);
  const b = v128.load(from + column);
  const c = v128.load(from + 2 * column);
  const d = v128.load(from + 3 * column);
  const ab0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
  const ab1 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cd0 = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const cd1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f64>(ab0, cd0, 0, 2));
  v128.store(to, v128.shuffle<f64>(ab0, cd0, 1, 3), 32);
  v128.store(to, v128.shuffle<f64>(ab1, cd1, 0, 2), 64);
  v128.store(to, v128.shuffle<f64>(ab1, cd1, 1, 3), 96);
}
