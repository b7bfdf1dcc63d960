import { mkdirSync, readFileSync, readSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type FileMapper, fromFloat32 } from '@fewbit/core';
import { fewbitError, goldenModel, temporaryFolder } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import { createGgufFile, createModelDirectory, openModelDirectory } from './index.js';

const root = temporaryFolder();
const large = 'model.embed_tokens.weight';
const small = 'model.norm.weight';

/** A llama with a large embedding, in a directory or in a GGUF file. */
async function model(name: string, create: typeof createModelDirectory, options: { maxShardBytes?: number } = {}) {
  const golden = await openModelDirectory(goldenModel('llama').folder);
  const path = join(root, name);
  const writer = await create(path, options);
  const vocabulary = 4000;
  for (const tensor of golden.checkpoint.tensors.keys()) {
    const isTable = tensor === large || tensor === 'lm_head.weight';
    const values = Float32Array.from({ length: vocabulary * 32 }, (_, i) => Math.sin(i));
    await writer.write(tensor, isTable ? fromFloat32(values, 'BF16', [vocabulary, 32]) : await golden.checkpoint.read(tensor));
  }
  await writer.file('config.json', JSON.stringify({ ...golden.config, vocab_size: vocabulary }));
  await writer.commit();
  await golden.close();
  return path;
}

/** A mapper that reads, and knows what it has shown and taken back. */
function fakeMapper() {
  const [shown, released] = [[] as Uint8Array[], [] as Uint8Array[]];
  const mapper: FileMapper = {
    map(descriptor, offset, length) {
      const bytes = new Uint8Array(length);
      expect(readSync(descriptor, bytes, 0, length, offset)).toBe(length);
      shown.push(bytes);
      return bytes;
    },
    release: (bytes) => void released.push(bytes),
  };
  return { mapper, shown, released };
}

describe('a mapper', () => {
  it.each([
    ['one file', createModelDirectory, {}],
    ['shards', createModelDirectory, { maxShardBytes: 3e5 }],
    ['GGUF', createGgufFile, {}],
  ] as const)('shows large tensors where they lie, and takes them back: %s', async (name, create, options) => {
    const path = await model(name, create, options);
    const plain = await openModelDirectory(path);
    const { mapper, shown, released } = fakeMapper();
    const { checkpoint, close } = await openModelDirectory(path, { mapper });
    for (const tensor of checkpoint.tensors.keys()) expect(await checkpoint.read(tensor)).toEqual(await plain.checkpoint.read(tensor));
    expect(shown.map(({ length }) => length)).toEqual([256_000, 256_000]);
    const table = await checkpoint.read(large);
    expect(table.data).toBe(shown.at(-1));
    checkpoint.release!(table);
    expect(released).toEqual([table.data]);
    expect((await checkpoint.read(small)).data.buffer).not.toBe(table.data.buffer);
    expect(plain.checkpoint.release).toBeUndefined();
    await close();
    await plain.close();
  });

  it('that has nothing to show leaves it to reading, which says what is wrong', async () => {
    const path = await model('cut', createModelDirectory);
    const { checkpoint, close } = await openModelDirectory(path, { mapper: { map: () => undefined, release: () => undefined } });
    expect((await checkpoint.read(large)).data).toHaveLength(256_000);
    truncateSync(join(path, 'model.safetensors'), 4000);
    await expect(checkpoint.read(large)).rejects.toThrow(
      fewbitError('checkpoint', /256000 bytes from byte \d+ cannot be read: the file ends/),
    );
    await close();
    mkdirSync(join(root, 'shorter'));
    for (const file of ['config.json', 'model.safetensors']) writeFileSync(join(root, 'shorter', file), readFileSync(join(path, file)));
    await expect(openModelDirectory(join(root, 'shorter'), { mapper: fakeMapper().mapper })).rejects.toThrow(
      fewbitError('checkpoint', /model\.safetensors/),
    );
  });
});
