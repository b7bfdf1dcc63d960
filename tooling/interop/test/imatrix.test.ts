import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openGguf, readImatrix } from '@fewbit/checkpoint';
import { convertPretrained, openBackend, writeImportance } from '@fewbit/presets';
import { embeddedModel } from '@fewbit/testkit';
import { afterAll, describe, expect, it } from 'vitest';
import { imatrixLoader } from '../src/llama-cpp-imatrix.js';

const folder = await mkdtemp(join(tmpdir(), 'fewbit-imatrix-'));
const load = imatrixLoader(folder, (reason) => console.warn(`llama.cpp's imatrix loader does not run here: ${reason}`));
const { backend } = await openBackend();
afterAll(async () => {
  await backend.close();
  await rm(folder, { recursive: true, force: true });
});

describe.skipIf(!load)("llama.cpp's quantizer", () => {
  it.each([
    ['imatrix.gguf', 'chunks 3 size 64 legacy 0 metadata 1', 3 * 64],
    ['imatrix.dat', 'chunks 3 size 0 legacy 1 metadata 0', 3],
  ])('reads %s as Fewbit does, by the names of the model', async (name, header, count) => {
    const output = join(folder, name);
    const calibration = { path: join(embeddedModel, 'held-out.jsonl'), samples: 3, length: 64 };
    await writeImportance({ model: embeddedModel, output, calibration }, { backend });
    const loaded = load!(output);
    expect(loaded.header).toBe(header);
    expect(loaded.datasets).toEqual(['held-out.jsonl']);

    const model = join(folder, `${name}-model`);
    await convertPretrained({ model: embeddedModel, output: model, layout: 'gguf' });
    const { tensors, close } = await openGguf(join(model, 'model.gguf'));
    const weights = [...tensors.values()].filter(({ name: tensor, shape }) => tensor.startsWith('blk.') && shape.length === 2);
    expect([...loaded.entries.keys()].sort()).toEqual(weights.map((tensor) => tensor.name).sort());
    const { entries } = await readImatrix(output);
    for (const { name: tensor, shape } of weights) {
      const { counts, sums } = loaded.entries.get(tensor)!;
      expect(counts).toEqual([count]);
      expect(sums.length).toBe(shape[1]);
      const ours = entries.get(tensor)!;
      expect(ours.some((value) => value > 0)).toBe(true);
      for (const [i, sum] of sums.entries()) expect(Math.fround(Math.fround(sum) / count)).toBe(ours[i]);
    }
    await close();
  });

  it('refuses what is none', async () => {
    const path = join(folder, 'text.dat');
    await writeFile(path, 'no imatrix at all');
    expect(() => load!(path)).toThrow(/failed/);
  });
});
