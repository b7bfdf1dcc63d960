import type { Backend } from '@fewbit/kernels';

/** Multiplies small whole numbers, whose products float32 holds exactly; returns what went wrong. */
export async function selfTest(backend: Backend): Promise<string | undefined> {
  const [m, k, n] = [7, 19, 131];
  const x = Float32Array.from({ length: m * k }, (_, i) => (i % 13) - 6);
  const w = Float32Array.from({ length: n * k }, (_, i) => (i % 11) - 5);
  const tensors = [backend.upload(x, [m, k]), backend.upload(w, [n, k])] as const;
  const product = backend.ops.matmul(...tensors);
  const got = await backend.download(product);
  for (const tensor of [...tensors, product]) backend.free(tensor);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let want = 0;
      for (let p = 0; p < k; p++) want += x[i * k + p]! * w[j * k + p]!;
      if (got[i * n + j] !== want) return `the self-test failed: element (${i}, ${j}) of a product is ${got[i * n + j]}, not ${want}`;
    }
  }
  return undefined;
}
