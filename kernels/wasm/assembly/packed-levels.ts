// A weight whose codes name levels: x̂ = scale·level, the scale shared by a span of inputs of a row; or levels of each span's own.
//
//   header | codes [rows][rowBytes] | scales [rows][spans] | table, or tables [rows][spans] in place of scales
//
// Codes take 4 or 8 bits, the first of two in the low half of the byte. Each span of a row has room for a multiple of sixteen codes. Tables of 4-bit codes are
// four planes: of sixteen levels the first bytes, the second, third and fourth.

import { codingNibbles, depth } from '../src/control';

/** What stands for scales that are not there. */
const one = memory.data<f32>([1]);

/** The header, which JavaScript writes (src/levels-form.ts). */
@unmanaged
export class PackedLevels {
  rows: i32;
  cols: i32;
  span: i32;
  spans: i32;
  /** Bytes of a span's codes, and of a row's. */
  spanBytes: i32;
  rowBytes: i32;
  coding: i32;
  /** Bytes from one span's table to the next one's; 0 where there is one. */
  tableStride: i32;
  /** Bytes from the header to the parts; 0 for scales that are not there. */
  codes: u32;
  scales: u32;
  tables: u32;

  /** Inputs from `first` on, the first of a run, that are decoded at a time: whole spans or a part of one, `depth` at most. */
  run(first: i32): i32 {
    const span = this.span;
    const rest = this.cols - first;
    if (span <= depth) return min((depth / span) * span, rest);
    return min(min(depth, span - (first % span)), rest);
  }

  /** No span needs its room for codes that are not there. */
  get whole(): bool {
    return this.span % 16 === 0 && this.cols % 16 === 0;
  }

  codesAt(row: i32, first: i32): usize {
    const offset = first % this.span;
    const bytes = (first / this.span) * this.spanBytes + (this.coding === codingNibbles ? offset / 2 : offset);
    return changetype<usize>(this) + this.codes + <usize>row * <usize>this.rowBytes + <usize>bytes;
  }

  /** Of the span that holds input `first`; the next span's is `scaleStride` further. */
  scaleAt(row: i32, first: i32): usize {
    return this.scales ? changetype<usize>(this) + this.scales + <usize>(row * this.spans + first / this.span) * 4 : one;
  }

  get scaleStride(): usize {
    return this.scales ? 4 : 0;
  }

  tableAt(row: i32, first: i32): usize {
    return changetype<usize>(this) + this.tables + <usize>(row * this.spans + first / this.span) * <usize>this.tableStride;
  }
}
