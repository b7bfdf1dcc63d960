import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FewbitError } from '@fewbit/core';
import { fewbitError, temporaryFolder } from '@fewbit/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ggufWeightName, readImatrix, writeGguf, writeImatrix } from '../index.js';

const folder = temporaryFolder();
const entries = new Map([
  ['blk.0.attn_q.weight', Float32Array.of(0.5, 1, 2, 0)],
  ['blk.0.ffn_down.weight', Float32Array.of(4, 8)],
]);

describe('imatrix files', () => {
  it.each(['a.dat', 'a.gguf'])('%s is read as it was written', async (name) => {
    const path = join(folder, name);
    await writeImatrix(path, { entries, datasets: ['wiki'], chunks: 8, chunkSize: 256 });
    const read = await readImatrix(path);
    expect(read.entries).toEqual(entries);
    expect(read).toMatchObject({ datasets: ['wiki'], chunks: 8 });
    await expect(writeImatrix(path, { entries, datasets: [] })).rejects.toThrow(/EEXIST/);
  });

  it('divides by what was counted, and takes 1 where nothing was', async () => {
    const path = join(folder, 'counts.gguf');
    const tensor = (name: string, values: number[]) => ({
      name,
      type: 'F32',
      shape: [1, values.length],
      bytes: 4 * values.length,
      content: async () => new Uint8Array(Float32Array.from(values).buffer),
    });
    const experts = [tensor('c.in_sum2', [1, 1]), tensor('c.counts', [1, 1])];
    const tensors = [tensor('a.in_sum2', [6, 12]), tensor('a.counts', [3]), tensor('b.in_sum2', [0, 0]), tensor('b.counts', [0])];
    await writeGguf(path, new Map(), tensors);
    expect([...(await readImatrix(path)).entries]).toEqual([
      ['a', Float32Array.of(2, 4)],
      ['b', Float32Array.of(1, 1)],
    ]);
    await writeGguf(join(folder, 'experts.gguf'), new Map(), experts);
    await expect(readImatrix(join(folder, 'experts.gguf'))).rejects.toEqual(fewbitError('unsupported', /c has 2 experts/));
    await writeGguf(join(folder, 'lost.gguf'), new Map(), tensors.slice(0, 1));
    await expect(readImatrix(join(folder, 'lost.gguf'))).rejects.toEqual(fewbitError('checkpoint', /"a.counts" is missing/));
  });

  it('whatever bytes of a .dat are changed, it reads or names the damage', async () => {
    await writeImatrix(join(folder, 'whole.dat'), { entries, datasets: ['wiki'] });
    const whole = new Uint8Array(await readFile(join(folder, 'whole.dat')));
    const path = join(folder, 'damaged.dat');
    const edits = fc.array(fc.record({ at: fc.nat(whole.length - 1), value: fc.nat(255) }), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(edits, fc.nat(whole.length), async (changes, length) => {
        const copy = whole.slice();
        for (const { at, value } of changes) copy[at] = value;
        await writeFile(path, copy.subarray(0, length));
        try {
          await readImatrix(path);
        } catch (error) {
          if (!FewbitError.is(error)) throw error;
          expect(error).toEqual(fewbitError('checkpoint', /damaged\.dat: /));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('names weights as llama.cpp does', () => {
    expect(ggufWeightName('mistral', 'model.layers.3.self_attn.o_proj')).toBe('blk.3.attn_output.weight');
    expect(ggufWeightName('gpt2', 'transformer.h.0.attn.c_attn')).toBe('blk.0.attn_qkv.weight');
    expect(ggufWeightName('gpt2', 'h.0.mlp.c_fc')).toBe('blk.0.ffn_up.weight');
    expect(ggufWeightName('llama', 'model.layers.x')).toBeUndefined();
  });
});
