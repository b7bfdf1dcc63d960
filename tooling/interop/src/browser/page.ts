// The program of a page that browser.test.ts opens; it puts its checks where the test can call them.

import { openModelFiles } from '@fewbit/checkpoint/web';
import { atOnce, matrix } from '@fewbit/core';
import { compressedTensors, createFormat, decodeMatrix, encodeMatrix } from '@fewbit/formats';
import { type Backend, type DeviceTensor, referenceBackend } from '@fewbit/kernels';
import { wasmProbe } from '@fewbit/kernels-wasm';
import { generate, openModel, openWeights } from '@fewbit/runtime';
import { openTokenizer } from '@fewbit/tokenizer';
import { relativeDistance } from '../compare.js';

const granularity = { kind: 'group', size: 32 } as const;

/** What the test calls in the page. */
export const checks = { kernels, model };
Object.assign(globalThis, { checks });

/**
 * The backend; how far its products and attention are from the reference, ‖got − want‖ / ‖want‖ by op and rows; and the turns that a timer of the page
 * has while a product of some 100 ms is computed.
 */
async function kernels({ threads }: { threads: number }) {
  const backend = await open(threads);
  const reference = referenceBackend();
  const [inner, outer] = [192, 130];
  const weight = matrix(outer, inner, wave(outer * inner, 2));
  const codes = encodeMatrix(weight, createFormat({ kind: 'int', bits: 4, scheme: 'symmetric-full', granularity, scaleType: 'F16' }));
  const heads = { heads: 6, keyValueHeads: 6, headSize: inner / 6, scale: 0.2, start: 0 };
  const ops: Record<string, (on: Backend, x: DeviceTensor) => DeviceTensor> = {
    floats: (on, x) => on.ops.matmul(x, on.upload(weight.data, [outer, inner])),
    codes: (on, x) => on.ops.matmul(x, on.weights ? atOnce(on.weights.upload(codes)) : on.upload(decodeMatrix(codes).data, [outer, inner])),
    attention: (on, x) => on.ops.attention(x, [x], [x], heads),
  };
  const distances: Record<string, number> = {};
  for (const rows of [1, 37]) {
    for (const [name, op] of Object.entries(ops)) {
      const run = (on: Backend) => on.download(op(on, on.upload(wave(rows * inner, rows), [rows, inner])));
      distances[`${name} ${rows}`] = relativeDistance(await run(backend), await run(reference));
    }
  }
  const turns = await turnsDuring(async () => {
    const square = backend.upload(wave(1024 * 1024, 3), [1024, 1024]);
    await backend.download(backend.ops.matmul(backend.ops.matmul(square, square), square));
  });
  const { description, deferred = false } = backend;
  await backend.close();
  return { isolated: globalThis.crossOriginIsolated, description, threads: backend.threads, deferred, distances, turns };
}

async function turnsDuring(body: () => Promise<void>): Promise<number> {
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await body();
  clearInterval(timer);
  return turns;
}

/** Logits of a checkpoint that the server has below `url`, and what its model writes. */
async function model({ url, threads, tokens, prompt }: { url: string; threads: number; tokens: number[]; prompt: string }) {
  const backend = await open(threads);
  const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
  const files = await Promise.all(names.map(async (name) => [name, await (await fetch(`${url}/${name}`)).blob()] as const));
  const directory = await openModelFiles(Object.fromEntries(files));
  const model = await openModel(await openWeights(directory, [compressedTensors]), backend);
  const { data } = await model.logits(Uint32Array.from(tokens));
  let text = '';
  for await (const piece of generate(model, await openTokenizer(directory), { prompt, maxTokens: 24 })) text += piece;
  await model.close();
  await backend.close();
  return { logits: [...data], text };
}

async function open(threads: number): Promise<Backend> {
  const backend = await wasmProbe({ threads });
  if ('unavailable' in backend) throw new Error(backend.unavailable);
  return backend;
}

/** Numbers of no pattern that a kernel could take advantage of. */
function wave(length: number, seed: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.sin(seed + i * 1.7 + (i % 13) ** 2));
}
