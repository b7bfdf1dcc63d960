// Matrix products over packed operands. The left one is packed whole, by tasks of their own; each product task packs the columns it needs of the right one.

import { depth, depthDouble, rightFloats, rightLevels, taskColumns, tileColumns, tileColumnsDouble, tileRows } from '../src/control';
import { integer, pointer, real } from './argument';
import { decodeRun } from './decode-levels';
import { tileProduct, tileProductDouble } from './micro-kernel';
import { packLeft, packRight, packRightDouble } from './pack';
import { PackedLevels } from './packed-levels';
import { widenRow } from './short-floats';

/** Arguments: a, bytes between rows, bytes between columns, rows, k, panels. A task is a panel. */
export function packLeftTask(task: i32): void {
  packLeftPanel<f32>(task);
}

export function packLeftDoubleTask(task: i32): void {
  packLeftPanel<f64>(task);
}

function packLeftPanel<T>(task: i32): void {
  const row = pointer(1);
  const k = integer(4);
  const first = task * tileRows;
  const panel = pointer(5) + <usize>first * <usize>k * sizeof<T>();
  packLeft<T>(pointer(0) + <usize>first * row, row, pointer(2), min(integer(3) - first, tileRows), k, panel);
}

/** Arguments: b, bytes between rows, bytes between columns, columns, k, panels. A task is a panel. */
export function packRightTask(task: i32): void {
  const column = pointer(2);
  const k = integer(4);
  const first = task * tileColumns;
  const panel = pointer(5) + <usize>first * <usize>k * 4;
  packRight(pointer(0) + <usize>first * column, pointer(1), column, min(integer(3) - first, tileColumns), k, panel);
}

/**
 * c [m, n] = a·b + bias in float32; b(p, j) = w [n, k] (j, p). Arguments: panels of a, w, c, bias or 0, m, k, n, row blocks, rows per block,
 * what w is: rightFloats and so on. A task is one row block of 64 columns. Scratch: the tile, the right panels, then as much for what they are made of where that is
 * not float32, and decodedPast bytes.
 */
export function multiply(task: i32, scratch: usize): void {
  const left = pointer(0);
  const w = pointer(1);
  const c = pointer(2);
  const bias = pointer(3);
  const m = integer(4);
  const k = integer(5);
  const n = integer(6);
  const rowBlocks = integer(7);
  const blockRows = integer(8);
  const right = integer(9);
  const firstRow = (task % rowBlocks) * blockRows;
  const lastRow = min(m, firstRow + blockRows);
  const firstColumn = (task / rowBlocks) * taskColumns;
  const columns = min(n - firstColumn, taskColumns);
  const panels = scratch + 256;
  for (let block = 0, deep = 0; block < k; block += deep) {
    deep = right === rightLevels ? changetype<PackedLevels>(w).run(block) : min(depth, k - block);
    const first = <usize>firstColumn * <usize>k + <usize>block;
    if (right === rightFloats) packRight(w + first * 4, 4, <usize>k * 4, columns, deep, panels);
    else {
      const wide = panels + taskColumns * depth * 4;
      for (let j = 0; j < columns; j++) {
        const to = wide + <usize>(j * deep) * 4;
        if (right === rightLevels) decodeRun(changetype<PackedLevels>(w), firstColumn + j, block, deep, to);
        else widenRow(w + (first + <usize>(j * k)) * 2, deep, to);
      }
      packRight(wide, 4, <usize>deep * 4, columns, deep, panels);
    }
    for (let i = firstRow; i < lastRow; i += tileRows) {
      const panel = left + (<usize>i * <usize>k + <usize>block * tileRows) * 4;
      for (let j = 0; j < columns; j += tileColumns) {
        tileProduct(panel, panels + <usize>(j * deep) * 4, deep, scratch);
        const at = c + (<usize>i * <usize>n + <usize>(firstColumn + j)) * 4;
        const start = block > 0 ? at : bias ? bias + <usize>(firstColumn + j) * 4 : 0;
        addTile(scratch, start, block > 0 ? <usize>n * 4 : 0, at, <usize>n * 4, min(lastRow - i, tileRows), min(columns - j, tileColumns));
      }
    }
  }
}

/** out = start + tile; `start` 0 stands for zero, and has rows of its own stride. */
function addTile(tile: usize, start: usize, startRow: usize, out: usize, outRow: usize, rows: i32, columns: i32): void {
  for (let i = 0; i < rows; i++) {
    if (columns === tileColumns) {
      let low = v128.load(tile);
      let high = v128.load(tile, 16);
      if (start) {
        low = f32x4.add(low, v128.load(start));
        high = f32x4.add(high, v128.load(start, 16));
      }
      v128.store(out, low);
      v128.store(out, high, 16);
    } else {
      for (let j = 0; j < columns; j++) {
        const value = load<f32>(tile + j * 4);
        store<f32>(out + j * 4, start ? value + load<f32>(start + j * 4) : value);
      }
    }
    tile += tileColumns * 4;
    start += startRow;
    out += outRow;
  }
}

/**
 * c += sign · a·b in float64. Arguments: panels of a, b, bytes between rows of b, between columns of b, c, bytes between rows of c, m, k, n, row blocks,
 * rows per block, sign, 1 to leave out what lies above the diagonal of c. A task is one row block of 64 columns. Scratch: the tile, then the right panels.
 */
export function multiplyDouble(task: i32, scratch: usize): void {
  const left = pointer(0);
  const b = pointer(1);
  const row = pointer(2);
  const column = pointer(3);
  const c = pointer(4);
  const cRow = pointer(5);
  const k = integer(7);
  const n = integer(8);
  const rowBlocks = integer(9);
  const blockRows = integer(10);
  const sign = real(11);
  const lower = integer(12) !== 0;
  const firstRow = (task % rowBlocks) * blockRows;
  const lastRow = min(integer(6), firstRow + blockRows);
  const firstColumn = (task / rowBlocks) * taskColumns;
  const columns = min(n - firstColumn, taskColumns);
  if (lower && firstColumn >= lastRow) return;
  const panels = scratch + 256;
  for (let block = 0; block < k; block += depthDouble) {
    const deep = min(depthDouble, k - block);
    packRightDouble(b + <usize>block * row + <usize>firstColumn * column, row, column, columns, deep, panels);
    for (let i = firstRow; i < lastRow; i += tileRows) {
      const panel = left + (<usize>i * <usize>k + <usize>block * tileRows) * 8;
      for (let j = 0; j < columns; j += tileColumnsDouble) {
        if (lower && firstColumn + j >= i + tileRows) break;
        tileProductDouble(panel, panels + <usize>(j * deep) * 8, deep, scratch);
        const at = c + <usize>i * cRow + <usize>(firstColumn + j) * 8;
        addTileDouble(scratch, sign, at, cRow, min(lastRow - i, tileRows), min(columns - j, tileColumnsDouble));
      }
    }
  }
}

/** out += sign · tile. */
export function addTileDouble(tile: usize, sign: f64, out: usize, outRow: usize, rows: i32, columns: i32): void {
  const signs = f64x2.splat(sign);
  for (let i = 0; i < rows; i++) {
    if (columns === tileColumnsDouble) {
      v128.store(out, f64x2.add(v128.load(out), f64x2.mul(signs, v128.load(tile))));
      v128.store(out, f64x2.add(v128.load(out, 16), f64x2.mul(signs, v128.load(tile, 16))), 16);
    } else {
      for (let j = 0; j < columns; j++) store<f64>(out + j * 8, load<f64>(out + j * 8) + sign * load<f64>(tile + j * 8));
    }
    tile += tileColumnsDouble * 8;
    out += outRow;
  }
}
