// xᵀ·y: float32 products over one block of rows (both operands packed whole), added to a float64 result.

import { gramSide, tileColumns, tileRows } from '../src/control';
import { integer, pointer } from './argument';
import { tileProduct } from './micro-kernel';

/**
 * out [a, b] += xᵀ·y over `rows` rows. Arguments: left panels of x, right panels of y, out, rows, a, b, squares per row, 1 to leave out what lies below
 * the diagonal. A task is one square of the result. Scratch: the tile.
 */
export function gram(task: i32, scratch: usize): void {
  const left = pointer(0);
  const right = pointer(1);
  const out = pointer(2);
  const rows = integer(3);
  const a = integer(4);
  const b = integer(5);
  const across = integer(6);
  const upper = integer(7) !== 0;
  const firstRow = (task / across) * gramSide;
  const firstColumn = (task % across) * gramSide;
  const lastRow = min(a, firstRow + gramSide);
  const lastColumn = min(b, firstColumn + gramSide);
  for (let i = firstRow; i < lastRow; i += tileRows) {
    const panel = left + <usize>i * <usize>rows * 4;
    for (let j = firstColumn; j < lastColumn; j += tileColumns) {
      if (upper && j + tileColumns <= i) continue;
      tileProduct(panel, right + <usize>j * <usize>rows * 4, rows, scratch);
      const at = out + (<usize>i * <usize>b + <usize>j) * 8;
      addWide(scratch, at, <usize>b * 8, min(lastRow - i, tileRows), min(lastColumn - j, tileColumns));
    }
  }
}

function addWide(tile: usize, out: usize, outRow: usize, rows: i32, columns: i32): void {
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) store<f64>(out + j * 8, load<f64>(out + j * 8) + <f64>load<f32>(tile + j * 4));
    tile += tileColumns * 4;
    out += outRow;
  }
}
