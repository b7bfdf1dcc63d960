import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createModelDirectory, openModelDirectory } from '@fewbit/checkpoint';
import { type FloatDType, fromFloat32, toFloat32 } from '@fewbit/core';
import { type Backend, referenceBackend } from '@fewbit/kernels';
import { openModel, openWeights } from '@fewbit/runtime';
import { fewbitError, goldenModel, temporaryFolder } from '@fewbit/testkit';
import { afterAll, describe, expect, it } from 'vitest';
import { openBackend } from './index.js';

const { backend } = await openBackend({ threads: 2 });
afterAll(() => backend.close());
const root = temporaryFolder();
const vocabulary = 4000;
const embedding = 'model.embed_tokens.weight';
const tokens = Uint32Array.from({ length: 40 }, (_, i) => (i * 977) % vocabulary);

/** A llama whose embedding is large enough to be mapped. `change` works on the values of each tensor. */
async function model(name: string, dtype: FloatDType, change: (tensor: string, values: Float32Array) => void = () => undefined) {
  const golden = await openModelDirectory(goldenModel('llama').folder);
  const path = join(root, name);
  const writer = await createModelDirectory(path);
  for (const [tensor, { shape }] of golden.checkpoint.tensors) {
    const isTable = tensor === embedding || tensor === 'lm_head.weight';
    const values = isTable
      ? Float32Array.from({ length: vocabulary * 32 }, (_, i) => Math.sin(i))
      : toFloat32(await golden.checkpoint.read(tensor));
    change(tensor, values);
    await writer.write(tensor, fromFloat32(values, dtype, isTable ? [vocabulary, 32] : shape));
  }
  await writer.file('config.json', JSON.stringify({ ...golden.config, vocab_size: vocabulary }));
  await writer.commit();
  await golden.close();
  return path;
}

async function opened(path: string, on: Backend) {
  const directory = await openModelDirectory(path, on.mapper && { mapper: on.mapper });
  try {
    return await openModel(await openWeights(directory), on);
  } finally {
    await directory.close();
  }
}

/** Kilobytes of a file that are in memory by maps of it. Linux alone says so. */
function residentOf(path: string): number {
  const maps = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[\da-f]+-[\da-f]+ )/m);
  const ofFile = maps.filter((map) => map.includes(path));
  expect(ofFile.length).toBeGreaterThan(0);
  return ofFile.reduce((sum, map) => sum + Number(/^Rss: +(\d+) kB/m.exec(map)![1]), 0);
}

describe.skipIf(!backend.mapper)('a model whose file is mapped', () => {
  it.each(['BF16', 'F32', 'F16'] as const)(
    '%s: computes what a copy does, after its file is gone too, and keeps its embedding out of memory',
    async (dtype) => {
      const path = await model(dtype, dtype);
      const want = await (await opened(path, referenceBackend())).logits(tokens);
      const before = backend.bytes;
      const mapped = await opened(path, backend);
      if (process.platform !== 'win32') rmSync(path, { recursive: true });
      for (let round = 0; round < 2; round++) {
        const { data } = await mapped.logits(tokens);
        const most = want.data.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
        expect(data.reduce((worst, value, i) => Math.max(worst, Math.abs(value - want.data[i]!)), 0)).toBeLessThan(1e-5 * most);
        if (process.platform === 'linux' && dtype !== 'F16') expect(residentOf(path)).toBe(0);
      }
      const width = { BF16: 2, F32: 4, F16: 4 }[dtype];
      expect(mapped.weights.get('model.embed_tokens')!.bytes).toBe(vocabulary * 32 * width);
      await mapped.close();
      expect(backend.bytes).toBe(before);
    },
  );

  it.each([embedding, 'lm_head.weight', 'model.layers.1.mlp.down_proj.weight'])(
    'NaN or Inf in %s names it, and leaves nothing in memory',
    async (name) => {
      for (const [i, value] of [Number.NaN, Number.NEGATIVE_INFINITY].entries()) {
        for (const dtype of ['BF16', 'F32'] as const) {
          const path = await model(`${name}-${dtype}-${i}`, dtype, (tensor, values) => {
            if (tensor === name) values[1001] = value;
          });
          const before = backend.bytes;
          const message = fewbitError('numeric', new RegExp(`^${name.replaceAll('.', '\\.')} has ${value} at index 1001`));
          await expect(opened(path, backend)).rejects.toThrow(message);
          expect(backend.bytes).toBe(before);
        }
      }
    },
  );
});
