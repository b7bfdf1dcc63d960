import { atOnce, matrix, random } from '@fewbit/core';
import { createFormat, encodeMatrix, type FormatSpec, type IntSpec } from '@fewbit/formats';
import { expect, it } from 'vitest';
import { plainBuild } from './load-build.js';
import { wasmBackend } from './wasm-backend.js';

const int = (bits: IntSpec['bits'], size: number): FormatSpec => ({
  kind: 'int',
  bits,
  scheme: 'symmetric-full',
  granularity: { kind: 'group', size },
  scaleType: 'F16',
});

/** Bits per weight in memory. */
const held: Readonly<Record<string, readonly [FormatSpec, number]>> = {
  ...Object.fromEntries(([2, 3, 4, 5, 6, 8] as const).map((bits) => [`int${bits}`, [int(bits, 32), bits + 0.5] as const])),
  'int7, which is rare': [int(7, 32), 8.5],
  'int3 in half runs': [int(3, 16), 5],
  'int5 in half runs': [int(5, 16), 7],
  'int6 in half runs': [int(6, 16), 7],
  'ggml q5_0': [{ kind: 'ggml', type: 'q5_0' }, 5.5],
  'ggml q6_k': [{ kind: 'ggml', type: 'q6_k' }, 8],
};

it.for(Object.entries(held))('a weight takes the bits of its codes and scales: %s', async ([, [spec, bits]]) => {
  const backend = await wasmBackend((await plainBuild())!, 1);
  const [rows, cols] = [512, 512];
  const { normal } = random(1);
  const values = Float32Array.from({ length: rows * cols }, normal);
  const before = backend.bytes;
  atOnce(backend.weights!.upload(encodeMatrix(matrix(rows, cols, values), createFormat(spec))));
  expect(((backend.bytes - before) * 8) / values.length).toBeCloseTo(bits, 2);
  await backend.close();
});
