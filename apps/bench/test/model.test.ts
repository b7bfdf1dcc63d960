import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBackend, quantizePretrained } from '@fewbit/presets';
import { embeddedModel } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import { type ModelRow, modelDocument } from '../src/documents.js';
import { fewbitBench, fewbitBenchJson } from './capture.js';

const small = ['--rounds', '1', '--prompt', '8', '--generate', '2', '--stream', '4'];
const reference = ['--backend', 'reference', '--peer', 'none', ...small];

describe('fewbit-bench model', () => {
  it('measures random weights of a shape', async () => {
    const document = modelDocument.parse(await fewbitBenchJson('model', '--shape', 'tiny', ...reference));
    expect(document.rows.map(({ what, tokens }) => [what, tokens])).toEqual([
      ['decode', 2],
      ['prefill', 8],
    ]);
    const { memory } = document;
    // of 2048 positions a page of 240, two blocks, keys and values of 32 floats
    expect(memory.cache).toBe(240 * 2 * 2 * 32 * 4);
    expect(memory.peakResident).toBeGreaterThan(memory.weights);
    expect(memory.overWeights).toBeCloseTo(memory.peakResident / memory.weights - 1, 10);
    expect(Object.keys(document.eventLoopLag).sort()).toEqual(['decode', 'prefill']);
    for (const row of document.rows) {
      expect(row).toMatchObject({ shape: 'tiny', format: 'int4', group: 32, activations: 'f32', backend: 'reference' });
      const { readBandwidth, gemmPeak } = document.machine;
      const limit = 1e9 * (row.what === 'decode' ? readBandwidth : gemmPeak);
      expect(row.fractionOfLimit).toBeCloseTo((row.work * row.tokensPerSecond) / limit, 10);
      expect(row).not.toHaveProperty('ratio');
    }
  });

  it('decodes several sequences together, and one after the other', async () => {
    const flags = ['--shape', 'tiny', '--what', 'decode', '--sequences', '3'];
    const { rows, eventLoopLag, machine } = modelDocument.parse(await fewbitBenchJson('model', ...flags, ...reference));
    expect(rows.map(({ what, tokens, sequences }) => [what, tokens, sequences])).toEqual([
      ['decode', 2, undefined],
      ['batch', 2, 3],
    ]);
    const [alone, batch] = rows as [ModelRow, ModelRow];
    expect(batch.work).toBeCloseTo(alone.work / 3, 6);
    expect(batch.fractionOfLimit).toBeCloseTo((batch.work * batch.tokensPerSecond) / (1e9 * machine.readBandwidth), 10);
    expect(batch.perSequence! * 3).toBeCloseTo(batch.tokensPerSecond, 6);
    expect(batch.gain! * batch.oneByOne!).toBeCloseTo(batch.tokensPerSecond, 6);
    expect(Object.keys(eventLoopLag)).toEqual(['decode', 'batch']);
  });

  it('names a batch in its table and in its plot', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fewbit-bench-test-'));
    try {
      const plot = join(folder, 'plot.svg');
      const flags = ['--shape', 'tiny', '--what', 'decode', '--sequences', '3', '--plot', plot];
      const { stdout } = await fewbitBench('model', ...flags, ...reference);
      expect(stdout).toMatch(/batch 3 × 2 .* tiny /);
      expect(stdout).toMatch(/batch: \S+ tok\/s for each of 3 sequences; one after the other \S+ in all, together \S+×/);
      expect(await readFile(plot, 'utf8')).toMatch(/batch of 3, tiny.*fewbit reference int4, one by one/s);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('counts the weights that a token reads: all but the embeddings, as the backend holds them', async () => {
    const { rows } = modelDocument.parse(await fewbitBenchJson('model', '--shape', 'tiny', '--what', 'decode', ...reference));
    const block = 2 * 64 * 64 + 2 * 32 * 64 + 3 * 192 * 64;
    const norms = 5 * 64;
    expect(rows[0]!.work).toBe(4 * (2 * block + norms + 512 * 64));
  });

  it('measures a checkpoint, rounded in memory, and draws it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fewbit-bench-test-'));
    try {
      const plot = join(folder, 'plot.svg');
      const flags = ['--format', 'int8', '--group', '-1', '--what', 'prefill', '--backend', 'wasm', '--peer', 'none', ...small];
      const { rows } = modelDocument.parse(await fewbitBenchJson('model', embeddedModel, ...flags, '--plot', plot));
      expect(rows).toMatchObject([{ what: 'prefill', shape: embeddedModel, format: 'int8', group: null, backend: 'wasm' }]);
      expect(await readFile(plot, 'utf8')).toMatch(/^<svg .*fewbit wasm int8/s);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it.each([
    ['mxfp4', 32],
    ['nf4', null],
    ['fp8', null],
    ['q4_1', null],
  ])('knows formats with groups of their own: %s', async (format, group) => {
    const flags = ['--shape', 'tiny', '--format', format, '--what', 'decode'];
    const { rows } = modelDocument.parse(await fewbitBenchJson('model', ...flags, ...reference));
    expect(rows).toMatchObject([{ format, group }]);
  });

  it.each([
    ['int4', 'int16'],
    ['nf4', 'f32'],
    ['fp8', 'f32'],
  ])('says what products of the linears round their inputs to, not the head in int8: %s', async (format, activations) => {
    const flags = ['--shape', 'tiny', '--format', format, '--backend', 'wasm', '--peer', 'none'];
    const { rows } = modelDocument.parse(await fewbitBenchJson('model', ...flags, ...small));
    expect(rows.map((row) => row.activations)).toEqual([activations, activations]);
  });

  it('takes a quantized checkpoint as it is', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fewbit-bench-test-'));
    const { backend } = await openBackend({ backend: 'wasm', threads: 1 });
    try {
      const output = join(folder, 'int5');
      await quantizePretrained({ model: embeddedModel, output, method: 'rtn', format: 'int5', group: 64 }, { backend });
      const flags = ['--format', 'int8', '--what', 'decode', '--backend', 'wasm', '--peer', 'none', ...small];
      const { rows } = modelDocument.parse(await fewbitBenchJson('model', output, ...flags));
      expect(rows).toMatchObject([{ what: 'decode', format: 'int5', group: 64 }]);
    } finally {
      await backend.close();
      await rm(folder, { recursive: true });
    }
  });

  it('prints a table for people, and why there is no ratio', async () => {
    const { code, stdout } = await fewbitBench('model', '--shape', 'tiny', '--format', 'int3', '--backend', 'wasm', ...small);
    expect(code).toBe(0);
    expect(stdout).toMatch(/decode 2 .* int3 g32 .*int16 /);
    expect(stdout).toContain('note: No peer, so no ratio: llama.cpp has no type like int3');
  });

  it.each([
    [[], 'either a model directory or --shape'],
    [['--shape', 'gpt-5'], 'Unknown shape "gpt-5"'],
    [['--shape', 'tiny', '--what', 'all'], '--what all is unknown. Choose one of: decode, prefill, both'],
    [['--shape', 'tiny', '--activations', 'int4'], '--activations int4 is unknown. Choose one of: int16, int8, f32'],
    [['--shape', 'tiny', '--activations', 'int8', ...reference], "'reference' has no products with int8 activations"],
    [['--shape', 'tiny', '--peer', 'vllm'], '--peer vllm is unknown'],
    [['--shape', 'tiny', '--format', 'int9'], 'Unknown format "int9"'],
    [['--shape', 'tiny', '--format', 'q4_1', '--group', '32'], 'Format q4_1 does not take --group'],
    [['--shape', 'tiny', '--sequences', 'two'], 'two is not a positive whole number'],
    [['--shape', 'tiny', '--rounds', '0'], '0 is not a positive whole number'],
  ])('refuses %j', async (flags, message) => {
    const { code, stdout, stderr } = await fewbitBench('model', ...flags);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
  });
});
