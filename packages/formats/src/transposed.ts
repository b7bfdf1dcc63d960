/** `values` [rows, cols] as [cols, rows], in a new array. */
export function transposed<A extends Uint8Array | Uint32Array | Float32Array>(values: A, rows: number, cols: number): A {
  const out = new (values.constructor as new (length: number) => A)(values.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < cols; j++) out[j * rows + i] = values[i * cols + j]!;
  }
  return out;
}
