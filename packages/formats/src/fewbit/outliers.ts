import { type DType, FewbitError, fromFloat32, type Tensor, toFloat32 } from '@fewbit/core';
import { expectTensor } from '../expect-tensor.js';
import { indexType } from '../sparse-matrix.js';
import type { SparseMatrix } from '../types.js';

const [countsName, columnsName, valuesName] = ['weight_outlier_counts', 'weight_outlier_columns', 'weight_outlier_values'];

/** The tensors of outliers, which are checked. */
export function packOutliers(outliers: SparseMatrix | undefined, cols: number): Map<string, Tensor> {
  if (!outliers) return new Map();
  const { type, starts, columns, values } = outliers;
  const counts = Uint32Array.from({ length: starts.length - 1 }, (_, row) => starts[row + 1]! - starts[row]!);
  return new Map([
    [countsName, packIndices(counts, cols)],
    [columnsName, packIndices(columns, cols)],
    [valuesName, fromFloat32(values, type, [values.length])],
  ]);
}

/** The inverse of `packOutliers`; undefined where none of the tensors is there. Throws `checkpoint` naming the tensor. */
export function unpackOutliers(tensors: ReadonlyMap<string, Tensor>, rows: number, cols: number): SparseMatrix | undefined {
  if (![countsName, columnsName, valuesName].some((name) => tensors.has(name))) return undefined;
  const counts = unpackIndices(tensors, countsName, rows, cols);
  const starts = new Uint32Array(rows + 1);
  for (let row = 0; row < rows; row++) {
    if (counts[row]! > cols) throw damaged(countsName, counts[row]!, row, `at most ${cols} of a row`);
    starts[row + 1] = starts[row]! + counts[row]!;
  }
  const count = starts[rows]!;
  const columns = unpackIndices(tensors, columnsName, count, cols);
  for (let row = 0; row < rows; row++) {
    for (let i = starts[row]!; i < starts[row + 1]!; i++) {
      const rises = i === starts[row] || columns[i - 1]! < columns[i]!;
      if (!rises || columns[i]! >= cols) throw damaged(columnsName, columns[i]!, i, `columns below ${cols} that rise in row ${row}`);
    }
  }
  const stored = expectTensor(tensors, valuesName, ['F32', 'F16', 'BF16'], [count]);
  const values = toFloat32(stored);
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad !== -1) throw damaged(valuesName, values[bad]!, bad, 'finite numbers');
  return { type: stored.dtype, starts, columns, values };
}

const arrays = { U8: Uint8Array, U16: Uint16Array, U32: Uint32Array } as const satisfies Partial<Record<DType, unknown>>;

function packIndices(indices: Uint32Array, cols: number): Tensor {
  const dtype = indexType(cols);
  return { dtype, shape: [indices.length], data: new Uint8Array(arrays[dtype].from(indices).buffer) };
}

function unpackIndices(tensors: ReadonlyMap<string, Tensor>, name: string, count: number, cols: number): Uint32Array {
  const dtype = indexType(cols);
  const { data } = expectTensor(tensors, name, [dtype], [count]);
  return Uint32Array.from(new arrays[dtype](new Uint8Array(data).buffer));
}

function damaged(name: string, value: number, at: number, expected: string): FewbitError {
  return new FewbitError('checkpoint', `Tensor ${name} holds ${value} at ${at}: expected ${expected}.`);
}
