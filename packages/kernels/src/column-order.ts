import { inStrips, type Pausable } from '@fewbit/core';
import { createFormat, type QuantizedMatrix, tileGrid } from '@fewbit/formats';

/** A matrix whose columns stand as its groups have them. */
export interface OrderedMatrix extends QuantizedMatrix {
  readonly columnGroup?: never;
  /** Which input each column is for, where that is not its own number. */
  readonly columnOrder?: Uint32Array;
}

/** Why the columns of a matrix cannot be brought into the order of their groups; undefined where they can, or stand in it. */
export function rejectsColumnGroups({ rows, cols, spec, columnGroup, outliers }: QuantizedMatrix): string | undefined {
  if (!columnGroup) return undefined;
  if (outliers) return 'outliers beside columns in groups out of order have no kernel';
  const { across, tileCols } = tileGrid(createFormat(spec), rows, cols);
  const sizes = new Uint32Array(across);
  for (const group of columnGroup) sizes[group]!++;
  const odd = sizes.findIndex((size, group) => size !== Math.min(tileCols, cols - group * tileCols));
  return odd < 0 ? undefined : `group ${odd} has ${sizes[odd]} columns, and only groups of one size have a kernel`;
}

/** Columns of one group side by side, as kernels read them, for a matrix that `rejectsColumnGroups` says nothing of: a product wants the inputs in `columnOrder`. Pauses between strips. */
export function* inGroupOrder(matrix: QuantizedMatrix): Pausable<OrderedMatrix> {
  const { columnGroup, ...rest } = matrix;
  if (!columnGroup) return rest;
  const { rows, cols, codes } = rest;
  const columnOrder = Uint32Array.from({ length: cols }, (_, column) => column).sort((a, b) => columnGroup[a]! - columnGroup[b]! || a - b);
  const ordered = new Uint8Array(codes.length);
  yield* inStrips(rows, cols, (first, end) => {
    for (let at = first * cols; at < end * cols; at += cols)
      for (let column = 0; column < cols; column++) ordered[at + column] = codes[at + columnOrder[column]!]!;
  });
  return { ...rest, codes: ordered, columnOrder };
}
