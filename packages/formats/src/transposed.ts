import { atOnce, inStrips, type Pausable } from '@fewbit/core';

type Values = Uint8Array | Uint32Array | Float32Array;

/** `values` [rows, cols] as [cols, rows], in a new array. */
export function transposed<A extends Values>(values: A, rows: number, cols: number): A {
  return atOnce(transposedInStrips(values, rows, cols));
}

/** The same with pauses. */
export function* transposedInStrips<A extends Values>(values: A, rows: number, cols: number): Pausable<A> {
  const out = new (values.constructor as new (length: number) => A)(values.length);
  yield* inStrips(cols, rows, (first, end) => {
    for (let i = 0; i < rows; i++) {
      for (let j = first; j < end; j++) out[j * rows + i] = values[i * cols + j]!;
    }
  });
  return out;
}
