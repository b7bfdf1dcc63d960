import { createFormat, type IntParams, type QuantizedMatrix, tileGrid } from '../../../packages/formats/src/index.js';

/** x [·, cols] rounded to 8 bits. */
export interface RoundedRows {
  readonly x: Float32Array;
  readonly integers: Int8Array;
  /** Where chunks of inputs start, and each row's scales for them. */
  readonly starts: readonly number[];
  readonly scales: readonly Float32Array[];
}

/** Rounds to absmax / 127 per group, or per 128 inputs of a longer one. Values halfway between two integers, which a machine may round either way, are made 0 first. */
export function roundedToBytes(x: Float32Array, cols: number, group: number): RoundedRows {
  const starts: number[] = [];
  for (let first = 0; first < cols; first += group) for (let at = first; at < Math.min(first + group, cols); at += 128) starts.push(at);
  const integers = new Int8Array(x.length);
  const scales = Array.from({ length: x.length / cols }, (_, row) =>
    Float32Array.from(starts, (start, chunk) => {
      const first = row * cols + start;
      const values = x.subarray(first, row * cols + (starts[chunk + 1] ?? cols));
      const most = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
      for (const [i, value] of values.entries()) {
        const exact = (value * 127) / most;
        if (Math.abs(exact - Math.floor(exact) - 0.5) < 1e-4) values[i] = 0;
        else integers[first + i] = Math.round(exact);
      }
      return most / 127;
    }),
  );
  return { x, integers, starts, scales };
}

/** x·wᵀ from the integers, in double: Σ over chunks of scale·scale·Σ (code − zero)·integer. */
export function plainProduct(
  { integers, starts, scales }: RoundedRows,
  { rows, cols, codes, spec, params }: QuantizedMatrix,
): Float64Array {
  const { tileRows, tileCols, across } = tileGrid(createFormat(spec), rows, cols);
  return Float64Array.from({ length: scales.length * rows }, (_, i) => {
    const [token, row] = [Math.floor(i / rows), i % rows];
    return starts.reduce((total, start, chunk) => {
      const { scale, zero } = params.at(Math.floor(row / tileRows) * across + Math.floor(start / tileCols)) as IntParams;
      let sum = 0;
      for (let j = start; j < (starts[chunk + 1] ?? cols); j++) sum += (codes[row * cols + j]! - zero) * integers[token * cols + j]!;
      return total + scale * scales[token]![chunk]! * sum;
    }, 0);
  });
}
