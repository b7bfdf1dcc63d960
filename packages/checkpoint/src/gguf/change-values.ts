import { dtypeBytes, FewbitError, fromFloat32, isFloat, type Tensor, toFloat32 } from '@fewbit/core';
import type { Change } from './tensor-names.js';

export interface Heads {
  readonly query: number;
  readonly key: number;
}

/** A tensor as GGUF has it, from Hugging Face's. Block-quantized tensors are U8 [rows, bytes of a row], and never transposed. */
export function toGgufValues(tensor: Tensor, change: Change | undefined, heads: Heads): Tensor {
  switch (change?.kind) {
    case undefined:
      return tensor;
    case 'pair-rows':
      return reorderRows(tensor, pairedRows(tensor.shape[0]!, heads[change.heads]));
    case 'add-one':
      return shifted(tensor, 1);
    case 'transpose':
      return isFloat(tensor.dtype) && tensor.shape.length === 2 ? transposed(tensor) : tensor;
  }
}

/** The inverse. */
export function fromGgufValues(tensor: Tensor, change: Change | undefined, heads: Heads): Tensor {
  switch (change?.kind) {
    case undefined:
      return tensor;
    case 'pair-rows':
      return reorderRows(tensor, inverse(pairedRows(tensor.shape[0]!, heads[change.heads])));
    case 'add-one':
      return shifted(tensor, -1);
    case 'transpose':
      return isFloat(tensor.dtype) && tensor.shape.length === 2 ? transposed(tensor) : tensor;
  }
}

/** from[new] = old: within each head, rows j and j + half become neighbours. */
function pairedRows(rows: number, heads: number): Uint32Array {
  const size = rows / heads;
  if (!Number.isInteger(size / 2)) throw new FewbitError('checkpoint', `${rows} rows are not ${heads} heads of an even size.`);
  return Uint32Array.from({ length: rows }, (_, row) => {
    const inside = row % size;
    return row - inside + (inside % 2) * (size / 2) + (inside >> 1);
  });
}

function inverse(from: Uint32Array): Uint32Array {
  const back = new Uint32Array(from.length);
  for (const [to, old] of from.entries()) back[old] = to;
  return back;
}

function reorderRows(tensor: Tensor, from: Uint32Array): Tensor {
  const width = tensor.data.length / from.length;
  const data = new Uint8Array(tensor.data.length);
  for (const [row, old] of from.entries()) data.set(tensor.data.subarray(old * width, (old + 1) * width), row * width);
  return { ...tensor, data };
}

function shifted(tensor: Tensor, by: number): Tensor {
  return fromFloat32(
    toFloat32(tensor).map((value) => value + by),
    'F32',
    tensor.shape,
  );
}

function transposed({ dtype, shape, data }: Tensor): Tensor {
  const [rows, cols] = shape as [number, number];
  const width = dtypeBytes[dtype];
  const out = new Uint8Array(data.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < cols; j++) {
      const from = (i * cols + j) * width;
      for (let b = 0; b < width; b++) out[(j * rows + i) * width + b] = data[from + b]!;
    }
  }
  return { dtype, shape: [cols, rows], data: out };
}
