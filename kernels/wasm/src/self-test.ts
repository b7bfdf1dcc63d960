import { atOnce } from '@fewbit/core';
import type { IntParams, QuantizedMatrix } from '@fewbit/formats';
import type { Backend, DeviceTensor } from '@fewbit/kernels';

/**
 * Multiplies small whole numbers; returns what went wrong. By float32, which holds the products exactly, and by codes with inputs of 16 and
 * of 8 bits, for which builds use instructions of their own.
 */
export async function selfTest(backend: Backend): Promise<string | undefined> {
  const failure = await floats(backend);
  if (failure !== undefined) return failure;
  for (const rows of [1, 21]) {
    for (const [activations, limit] of [
      ['int16', 32767],
      ['int8', 127],
    ] as const) {
      const wrong = await codes(backend, rows, activations, limit);
      if (wrong !== undefined) return `${wrong}, with ${activations} activations`;
    }
  }
  return undefined;
}

async function floats(backend: Backend): Promise<string | undefined> {
  const [m, k, n] = [7, 19, 131];
  const x = Float32Array.from({ length: m * k }, (_, i) => (i % 13) - 6);
  const w = Float32Array.from({ length: n * k }, (_, i) => (i % 11) - 5);
  return compare(backend, { m, k, n, x, w, held: backend.upload(w, [n, k]), tolerance: 0 });
}

async function codes(backend: Backend, m: number, activations: 'int16' | 'int8', limit: number): Promise<string | undefined> {
  const [k, n, group, zero] = [64, 37, 32, 8];
  // the largest of each group takes the largest code, so that the others are rounded to themselves
  const x = Float32Array.from({ length: m * k }, (_, i) => (i % group === 5 ? limit : (i % 13) - 6));
  const matrix: QuantizedMatrix = {
    rows: n,
    cols: k,
    spec: { kind: 'int', bits: 4, scheme: 'symmetric-full', granularity: { kind: 'group', size: group }, scaleType: 'F32' },
    codes: Uint8Array.from({ length: n * k }, (_, i) => (i * 7) % 16),
    params: Array.from({ length: (n * k) / group }, (): IntParams => ({ scale: 1, zero })),
  };
  const w = Float32Array.from(matrix.codes, (code) => code - zero);
  return compare(backend, { m, k, n, x, w, held: atOnce(backend.weights!.upload(matrix, { activations })), tolerance: limit / 1e4 });
}

interface Product {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly x: Float32Array;
  readonly w: Float32Array;
  /** w, as the backend has it. */
  readonly held: DeviceTensor;
  readonly tolerance: number;
}

async function compare(backend: Backend, { m, k, n, x, w, held, tolerance }: Product): Promise<string | undefined> {
  const input = backend.upload(x, [m, k]);
  const product = backend.ops.matmul(input, held);
  const got = await backend.download(product);
  for (const tensor of [input, held, product]) backend.free(tensor);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let want = 0;
      for (let p = 0; p < k; p++) want += x[i * k + p]! * w[j * k + p]!;
      if (!(Math.abs(got[i * n + j]! - want) <= tolerance))
        return `the self-test failed: element (${i}, ${j}) of a product is ${got[i * n + j]}, not ${want}`;
    }
  }
  return undefined;
}
