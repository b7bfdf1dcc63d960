import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DType, dtypeBytes, elementCount, type Tensor } from '@fewbit/core';
import { fewbitError, fileHashes, temporaryFolder } from '@fewbit/testkit';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { createModelDirectory } from './create-model-directory.js';
import { memorySource } from './memory-source.js';
import { openModelDirectory } from './open-model-directory.js';
import { readSafetensors } from './read-safetensors.js';

const root = temporaryFolder();
/** A path in a fresh folder of its own. */
const place = () => join(mkdtempSync(join(root, 'case-')), 'out');
const siblings = (path: string) => readdirSync(join(path, '..'));
const files = (path: string) => Object.fromEntries(readdirSync(path).map((name) => [name, readFileSync(join(path, name))]));

function tensor(dtype: DType, shape: readonly number[], fill = 0): Tensor {
  return { dtype, shape, data: Uint8Array.from({ length: elementCount(shape) * dtypeBytes[dtype] }, (_, i) => (i + fill) % 256) };
}

async function written(path: string, tensors: readonly (readonly [string, Tensor])[], maxShardBytes = 5e9) {
  const writer = await createModelDirectory(path, { maxShardBytes });
  await writer.file('config.json', '{}');
  for (const [name, value] of tensors) await writer.write(name, value);
  return writer.commit();
}

const anyTensor = fc
  .record({
    dtype: fc.constantFrom<DType>('F32', 'BF16', 'F16', 'I32', 'I8', 'I64', 'BOOL'),
    shape: fc.array(fc.nat(5), { maxLength: 3 }),
    fill: fc.nat(255),
  })
  .map(({ dtype, shape, fill }) => tensor(dtype, shape, fill));
const anyName = fc.oneof(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }), fc.nat(99).map(String));
const someTensors = fc.uniqueArray(fc.tuple(anyName, anyTensor), { selector: ([name]) => name, minLength: 1, maxLength: 8 });
const property = <T>(arbitrary: fc.Arbitrary<T>, holds: (value: T) => Promise<void>) =>
  fc.assert(fc.asyncProperty(arbitrary, holds), { numRuns: 60, seed: 4 });

describe('createModelDirectory', () => {
  it('what is written is read back, in one file or in shards', () =>
    property(fc.tuple(someTensors, fc.integer({ min: 1, max: 300 })), async ([tensors, maxShardBytes]) => {
      const path = place();
      const report = await written(path, tensors, maxShardBytes);
      expect(report.bytes).toBe(tensors.reduce((sum, [, { data }]) => sum + data.length, 0));
      expect([...report.files, 'config.json'].sort()).toEqual(readdirSync(path).sort());
      const opened = await openModelDirectory(path);
      expect([...opened.checkpoint.tensors.keys()].sort()).toEqual(tensors.map(([name]) => name).sort());
      for (const [name, value] of tensors) expect(await opened.checkpoint.read(name)).toEqual(value);
      await opened.close();
      for (const [name, bytes] of Object.entries(files(path))) {
        if (!name.endsWith('.safetensors')) continue;
        const reader = await readSafetensors(memorySource(bytes));
        const sizes = [...reader.tensors.values()].map((info) => info.bytes).filter((size) => size > 0);
        if (sizes.length > 1) expect(sizes.reduce((sum, size) => sum + size)).toBeLessThanOrEqual(maxShardBytes);
      }
    }));

  it('the order of arrival does not change the bytes of a file', () =>
    property(
      someTensors.chain((tensors) => fc.tuple(fc.constant(tensors), fc.shuffledSubarray(tensors, { minLength: tensors.length }))),
      async ([tensors, shuffled]) => {
        const paths = [place(), place()] as const;
        await written(paths[0], tensors);
        await written(paths[1], shuffled);
        expect(fileHashes(paths[0])).toEqual(fileHashes(paths[1]));
      },
    ));

  it('names shards and their index as transformers does', async () => {
    const path = place();
    const report = await written(
      path,
      [
        ['b', tensor('F32', [4])],
        ['a', tensor('F32', [4])],
        ['c', tensor('U8', [3])],
      ],
      20,
    );
    const [first, second] = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
    expect(report).toEqual({ bytes: 35, files: [first, second, 'model.safetensors.index.json'] });
    expect(JSON.parse(files(path)['model.safetensors.index.json']!.toString())).toEqual({
      metadata: { total_size: 35 },
      weight_map: { a: second, b: first, c: second },
    });
  });

  it('writes the bytes that the safetensors package of Python writes', async () => {
    const golden = readFileSync(new URL('../golden/small.safetensors', import.meta.url));
    const reader = await readSafetensors(memorySource(golden));
    const tensors = await Promise.all([...reader.tensors.keys()].map(async (name) => [name, await reader.read(name)] as const));
    expect(new Set(tensors.map(([, { dtype }]) => dtype)).size).toBe(Object.keys(dtypeBytes).length);
    const path = place();
    await written(path, tensors.toReversed());
    expect(files(path)['model.safetensors']).toEqual(golden);
  });

  it('nothing is at the path before commit, and nothing anywhere after abort', async () => {
    const path = join(place(), 'deep/er', 'out');
    const top = join(path, '../../../..');
    const writer = await createModelDirectory(path, { maxShardBytes: 8 });
    for (const name of ['a', 'b', 'c']) await writer.write(name, tensor('F32', [2]));
    await writer.file('config.json', '{}');
    expect(existsSync(path)).toBe(false);
    await writer.abort();
    await writer.abort();
    expect(readdirSync(top)).toEqual([]);
    await expect(writer.write('d', tensor('F32', [2]))).rejects.toThrow(fewbitError('usage', /committed or given up/));
    await expect(writer.commit()).rejects.toThrow(fewbitError('usage', /committed or given up/));
  });

  it('abort leaves parents that somebody else uses by now, and does nothing after commit', async () => {
    const path = join(place(), 'a', 'out');
    const writer = await createModelDirectory(path);
    writeFileSync(join(path, '../../other'), '');
    await writer.abort();
    expect(readdirSync(join(path, '../..'))).toEqual(['other']);

    const kept = await createModelDirectory(path);
    await kept.file('config.json', '{}');
    await kept.commit();
    await kept.abort();
    expect(siblings(path)).toEqual(['out']);
    expect(readdirSync(path)).toEqual(['config.json']);
  });

  it('lets the finished directory be looked at before it moves, and moves nothing when that fails', async () => {
    const path = place();
    const writer = await createModelDirectory(path);
    await writer.file('config.json', '{}');
    await writer.write('a', tensor('F32', [2]));
    const check = async (partial: string) => {
      const opened = await openModelDirectory(partial);
      expect((await opened.checkpoint.read('a')).data).toEqual(tensor('F32', [2]).data);
      await opened.close();
      throw new Error('not as it should be');
    };
    await expect(writer.commit(check)).rejects.toThrow('not as it should be');
    expect(existsSync(path)).toBe(false);
    await writer.abort();
    expect(siblings(path)).toEqual([]);
  });

  it('refuses a path that exists, whatever it is, at the start and at the end', async () => {
    const path = place();
    const message = fewbitError('output', /out exists already: give another directory, or move it away/);
    const writer = await createModelDirectory(path);
    mkdirSync(path);
    await expect(writer.commit()).rejects.toThrow(message);
    await writer.abort();
    expect(siblings(path)).toEqual(['out']);
    await expect(createModelDirectory(path)).rejects.toThrow(message);
    writeFileSync(join(path, 'out'), '');
    await expect(createModelDirectory(join(path, 'out'))).rejects.toThrow(message);
  });

  it('says so when the folder cannot be made', async () => {
    const path = place();
    writeFileSync(path, '');
    await expect(createModelDirectory(join(path, 'in', 'out'))).rejects.toThrow(fewbitError('output', /out cannot be written: ENOTDIR/));
    expect(siblings(path)).toEqual(['out']);
  });

  it('refuses names twice, tensors that cannot be read again, and files elsewhere', async () => {
    const path = place();
    const writer = await createModelDirectory(path);
    await writer.write('a', tensor('F32', [2]));
    await writer.file('config.json', '{}');
    await writer.file('a', 'a file may have the name of a tensor');
    await expect(writer.write('a', tensor('F32', [2]))).rejects.toThrow(fewbitError('usage', /"a" is written to .* twice/));
    await expect(writer.file('config.json', '{}')).rejects.toThrow(fewbitError('usage', /"config\.json" is written to .* twice/));
    for (const name of ['__metadata__', '__proto__', '\ud800']) {
      await expect(writer.write(name, tensor('F32', [2]))).rejects.toThrow(fewbitError('usage', /cannot be the name of a tensor/));
    }
    const short = { ...tensor('F32', [2]), shape: [3] };
    await expect(writer.write('b', short)).rejects.toThrow(fewbitError('usage', /"b", F32 \[3\], takes 12 bytes, got 8/));
    for (const name of ['../x', '/x', 'a/b', 'a\\b', '..', '.', '', '.hidden']) {
      await expect(writer.file(name, '')).rejects.toThrow(fewbitError('usage', /is not the plain name of a file/));
    }
    for (const name of ['model.safetensors', 'model.safetensors.index.json', 'shard-1', 'shard-1.data']) {
      await expect(writer.file(name, '')).rejects.toThrow(fewbitError('usage', /is kept for weights/));
    }
    await writer.commit();
    const opened = await openModelDirectory(path);
    expect([...opened.checkpoint.tensors.keys()]).toEqual(['a']);
    await opened.close();
    for (const maxShardBytes of [0, -1, Number.NaN]) {
      await expect(createModelDirectory(place(), { maxShardBytes })).rejects.toThrow(fewbitError('usage', /maxShardBytes/));
    }
  });
});

describe('on a full disk', () => {
  const mounted = smallDisk();
  const large = tensor('U8', [1_500_000]);

  it.skipIf(!mounted)('a tensor, a side file and a commit that do not fit say so with sizes, and leave nothing', async () => {
    const path = join(mounted!, 'new', 'out');
    const full = (bytes: string) =>
      fewbitError('output', new RegExp(`The disk is full at .*out \\(ENOSPC\\)${bytes}, \\d+ free: free some space`));

    const writer = await createModelDirectory(path);
    await expect(writer.write('a', large)).rejects.toThrow(full(', 1500000 bytes to write'));
    await writer.abort();
    expect(readdirSync(mounted!)).toEqual([]);

    const second = await createModelDirectory(path);
    await expect(second.file('tokenizer.json', large.data)).rejects.toThrow(full(', 1500000 bytes to write'));
    await second.abort();
    expect(readdirSync(mounted!)).toEqual([]);

    const third = await createModelDirectory(path);
    await third.write('a', tensor('U8', [700_000])); // fits, but not a second time behind its header
    await expect(third.commit()).rejects.toThrow(full(''));
    await third.abort();
    expect(readdirSync(mounted!)).toEqual([]);
  });
});

/** A disk of 1 MB, where this system lets us mount one. */
function smallDisk(): string | undefined {
  const folder = mkdtempSync(join(root, 'disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  afterAll(() => execFileSync('umount', [folder]));
  return folder;
}
