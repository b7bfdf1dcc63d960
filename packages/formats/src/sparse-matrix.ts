import { dtypeBytes, FewbitError, type Matrix, roundTo } from '@fewbit/core';
import { createFormat } from './create-format.js';
import type { Layout, QuantizedMatrix, SparseMatrix } from './types.js';

/** Entries at `places` of a rows × cols matrix, rising in row-major order; `values` are theirs, rounded to `type`. */
export function sparseMatrix(
  rows: number,
  cols: number,
  places: ArrayLike<number>,
  values: ArrayLike<number>,
  type: SparseMatrix['type'],
): SparseMatrix {
  const starts = new Uint32Array(rows + 1);
  for (let i = 0; i < places.length; i++) starts[Math.floor(places[i]! / cols) + 1]!++;
  for (let row = 0; row < rows; row++) starts[row + 1]! += starts[row]!;
  return {
    ...{ type, starts },
    columns: Uint32Array.from(places, (place) => place % cols),
    values: Float32Array.from(values, (value) => roundTo(type, value)),
  };
}

/** Writes every entry into its place in `to`. */
export function putEntries({ starts, columns, values }: SparseMatrix, { rows, cols, data }: Matrix): void {
  for (let row = 0; row < rows; row++) for (let i = starts[row]!; i < starts[row + 1]!; i++) data[row * cols + columns[i]!] = values[i]!;
}

/** Bits that a matrix takes on disk: codes, parameters and outliers, these as layout `fewbit` has them. */
export function storedBits({ rows, cols, spec, outliers }: QuantizedMatrix): number {
  return createFormat(spec).storedBits(rows, cols) + (outliers ? outlierBits(outliers.columns.length, rows, cols, outliers.type) : 0);
}

/** Bits that `count` outliers of a rows × cols matrix take: a count per row, then a column and a value each. */
export function outlierBits(count: number, rows: number, cols: number, type: SparseMatrix['type']): number {
  return 8 * ((rows + count) * dtypeBytes[indexType(cols)] + count * dtypeBytes[type]);
}

/** The narrowest integers that hold a column, and how many entries a row has. */
export function indexType(cols: number): 'U8' | 'U16' | 'U32' {
  return cols < 2 ** 8 ? 'U8' : cols < 2 ** 16 ? 'U16' : 'U32';
}

/** Throws `usage` where the outliers of `matrix` are not what `SparseMatrix` says, so that no damaged file is written. */
export function checkOutliers({ rows, cols, outliers }: QuantizedMatrix): void {
  if (!outliers) return;
  const { type, starts, columns, values } = outliers;
  const expect = (held: boolean, message: string) => {
    if (!held) throw new FewbitError('usage', `The outliers of a quantized ${rows} × ${cols} matrix ${message}.`);
  };
  expect(starts.length === rows + 1, `need ${rows + 1} starts of rows, got ${starts.length}`);
  expect(
    starts[0] === 0 && starts[rows] === columns.length,
    `have ${columns.length} columns, but starts from ${starts[0]} to ${starts[rows]}`,
  );
  expect(values.length === columns.length, `have ${columns.length} columns, but ${values.length} values`);
  for (let row = 0; row < rows; row++) {
    expect(starts[row]! <= starts[row + 1]!, `end at ${starts[row + 1]} in row ${row}, before they start`);
    for (let i = starts[row]!; i < starts[row + 1]!; i++) {
      const rises = i === starts[row] || columns[i - 1]! < columns[i]!;
      expect(rises && columns[i]! < cols, `hold column ${columns[i]} at ${i}: columns rise in a row, and are below ${cols}`);
    }
  }
  const bad = values.find((value) => !Number.isFinite(value) || roundTo(type, value) !== value);
  expect(bad === undefined, `hold ${bad}, which is no finite ${type}`);
}

/** Why `layout` cannot hold this matrix, or undefined: its format, its parameters or its outliers. */
export function refusalOf(layout: Layout, matrix: QuantizedMatrix): string | undefined {
  return (
    (matrix.outliers && refusalOfOutliers(layout)) ??
    layout.rejects(matrix.spec, matrix.rows, matrix.cols) ??
    layout.rejectsMatrix?.(matrix)
  );
}

/** Why `layout` cannot hold weights beside the codes, or undefined. */
export function refusalOfOutliers(layout: Layout): string | undefined {
  return layout.holdsOutliers ? undefined : 'its readers know codes alone, and no outliers beside them; --layout fewbit holds them.';
}

/** Throws `unsupported` for a matrix with outliers: `layout` is one of codes alone. */
export function codesAlone(layout: Layout, matrix: QuantizedMatrix): void {
  if (matrix.outliers) throw new FewbitError('unsupported', `Layout ${layout.id} cannot hold this matrix: ${refusalOfOutliers(layout)}`);
}
