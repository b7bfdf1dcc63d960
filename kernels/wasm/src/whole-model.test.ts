import { type Backend, referenceBackend } from '@fewbit/kernels';
import { relativeError } from '@fewbit/testkit/backend-contract';
import { values } from '@fewbit/testkit/values';
import { expect, it } from 'vitest';
import { wasmProbe } from './wasm-probe.js';

const [hidden, heads, keyValueHeads, headSize, middle, vocabulary, blocks] = [96, 6, 2, 16, 256, 500, 6];

it('logits of a whole random model are within 1e-5 of the reference, by prefill and by decoding', async () => {
  const wasm = await wasmProbe({ threads: 2 });
  if ('unavailable' in wasm) throw new Error(wasm.unavailable);
  const tokens = Uint32Array.from({ length: 70 }, (_, i) => (i * 37) % vocabulary);
  const want = await logits(referenceBackend(), [tokens]);
  const prefill = await logits(wasm, [tokens]);
  const decoded = await logits(wasm, [tokens.subarray(0, 67), ...[67, 68, 69].map((i) => tokens.subarray(i, i + 1))]);
  expect(relativeError(prefill, want)).toBeLessThan(1e-5);
  expect(relativeError(decoded, want)).toBeLessThan(1e-5);
  await wasm.close();
});

/** The last row of logits of a Llama-like model with random weights, its tokens fed in `parts`. */
async function logits(backend: Backend, parts: readonly Uint32Array[]): Promise<Float32Array> {
  const { ops } = backend;
  let seed = 0;
  const weight = (rows: number, cols: number) => backend.upload(values(rows * cols, seed++, 1 / Math.sqrt(cols)), [rows, cols]);
  const gain = backend.upload(new Float32Array(hidden).fill(1), [hidden]);
  const rotary = { frequencies: Float32Array.from({ length: headSize / 2 }, (_, i) => 10000 ** ((-2 * i) / headSize)), amplitude: 1 };
  const keyWidth = keyValueHeads * headSize;
  const embedding = weight(vocabulary, hidden);
  const model = Array.from({ length: blocks }, () => ({
    ...{ q: weight(hidden, hidden), k: weight(keyWidth, hidden), v: weight(keyWidth, hidden), o: weight(hidden, hidden) },
    ...{ gate: weight(middle, hidden), up: weight(middle, hidden), down: weight(hidden, middle) },
    ...{
      keys: backend.upload(new Float32Array(70 * keyWidth), [70, keyWidth]),
      values: backend.upload(new Float32Array(70 * keyWidth), [70, keyWidth]),
    },
  }));
  let start = 0;
  let last = gain;
  for (const tokens of parts) {
    last = backend.step(() => {
      let x = ops.embed(embedding, tokens);
      for (const block of model) {
        const input = ops.rmsNorm(x, gain, 1e-5, 0);
        const q = ops.rotate(ops.matmul(input, block.q), headSize, rotary, start);
        ops.store(block.keys, ops.rotate(ops.matmul(input, block.k), headSize, rotary, start), start);
        ops.store(block.values, ops.matmul(input, block.v), start);
        const scale = 1 / Math.sqrt(headSize);
        const attended = ops.attention(q, block.keys, block.values, { heads, keyValueHeads, headSize, scale, start });
        x = ops.add(x, ops.matmul(attended, block.o));
        const second = ops.rmsNorm(x, gain, 1e-5, 0);
        x = ops.add(x, ops.matmul(ops.gated(ops.matmul(second, block.gate), ops.matmul(second, block.up), 'silu'), block.down));
      }
      return ops.matmul(ops.rmsNorm(ops.rows(x, tokens.length - 1, 1), gain, 1e-5, 0), embedding);
    });
    start += tokens.length;
  }
  return backend.download(last);
}
