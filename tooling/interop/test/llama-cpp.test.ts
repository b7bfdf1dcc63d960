import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { copyCompanions, createGgufFile, openModelDirectory } from '@fewbit/checkpoint';
import { openBackend } from '@fewbit/presets';
import { openModel, openWeights } from '@fewbit/runtime';
import { embeddedModel, goldenModels } from '@fewbit/testkit';
import { openTokenizer } from '@fewbit/tokenizer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeDistance } from '../src/compare.js';
import { openLlamaCpp } from '../src/llama-cpp.js';
import { agreeWithLlamaCpp } from '../src/llama-cpp-agreement.js';
import { subjects } from '../src/subjects.js';
import { writeWideModel } from '../src/wide-model.js';

const llamaCpp = await openLlamaCpp((reason) => console.warn(`llama.cpp does not run here: ${reason}`));
const { backend } = await openBackend();
const folder = await mkdtemp(join(tmpdir(), 'fewbit-llama-cpp-'));
afterAll(async () => {
  await llamaCpp?.close();
  await backend.close();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

/** llama.cpp rounds activations to 8 bits where weights are in blocks; what is computed in float agrees far better. */
const tolerance = { float: 1e-3, blocks: 5e-3 };
const float = ['f32', 'f16', 'bf16'];
const every = [
  'f32',
  'f16',
  'q8_0',
  'q4_0',
  'q4_1',
  'q5_0',
  'q5_1',
  'q2_k',
  'q3_k_m',
  'q4_k_m',
  'q6_k',
  'iq4_nl',
  'iq4_xs',
  'tq1_0',
  'mxfp4',
];

const split = (numbers: string) => ({
  ...{ type: 'Split', behavior: 'Isolated', invert: false },
  pattern: {
    Regex: `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
  },
});
/** What tokenizer.json has before its ByteLevel, by llama.cpp's name for it. */
const cuts: Record<string, object[]> = {
  'gpt-2': [],
  smollm: [{ type: 'Digits', individual_digits: true }],
  'llama-bpe': [split('\\p{N}{1,3}')],
  qwen2: [split('\\p{N}')],
};
const texts = [
  "In 1984 it's 12345.678; they'LL say DON'T, we'd",
  'one\n\n\n  two\t three   \r\n four  ',
  '"quoted"  (x² + ½)… naïve café — 日本語 😀',
  ' leading, ¡y 1٣4 Ünïcode!',
];

/** Types and mixes whose matrices of 192 or 576 inputs would be of another type, and those that need such rows to tell them apart. */
const wide = ['bf16', 'q2_k', 'q3_k_s', 'q3_k_m', 'q3_k_l', 'q4_k_s', 'q4_k_m', 'q5_k_s', 'q5_k_m', 'q6_k', 'iq4_xs', 'tq1_0', 'tq2_0'];

const models = {
  embedded: every,
  'babyllama-1m': ['f32', 'f16', 'q8_0', 'q4_0', 'q5_1', 'q4_k_m'],
  'stories-260k': ['f32', 'f16', 'q8_0', 'q4_k_m'],
};

describe.skipIf(!llamaCpp)('llama.cpp', () => {
  for (const [name, formats] of Object.entries(models)) {
    const subject = subjects[name as keyof typeof models];
    describe.skipIf(!subject)(name, () => {
      it.each(formats)('%s loads, tokenizes as Fewbit does, and has the same perplexity', async (format) => {
        const output = join(folder, `${name}-${format}`);
        const found = await agreeWithLlamaCpp({ subject: subject!, format, output, backend, llamaCpp: llamaCpp! });
        for (const { ours, theirs } of found.ids) expect(theirs).toEqual(ours);
        expect(found.perplexity).toBeLessThan(float.includes(format) ? tolerance.float : tolerance.blocks);
        expect(found.sameTopOne).toBeGreaterThan(float.includes(format) ? 0.99 : 0.95);
      });
    });
  }

  describe('rows of whole blocks of 256', () => {
    const subject = { ...subjects.embedded, path: join(folder, 'wide') };
    beforeAll(() => writeWideModel(subject.path));

    it.each(wide)('%s loads, tokenizes as Fewbit does, and has the same perplexity', async (format) => {
      const output = join(folder, `wide-${format}`);
      const found = await agreeWithLlamaCpp({ subject, format, output, backend, llamaCpp: llamaCpp! });
      for (const { ours, theirs } of found.ids) expect(theirs).toEqual(ours);
      expect(found.perplexity).toBeLessThan(format === 'bf16' ? tolerance.float : tolerance.blocks);
      expect(found.sameTopOne).toBeGreaterThan(format === 'bf16' ? 0.99 : 0.9);
    });
  });

  it('loads a split file by its first part, and computes what it does of the whole', async () => {
    const from = await openModelDirectory(embeddedModel);
    const rows: Float32Array[][] = [];
    for (const maxShardBytes of [1e9, 3e5]) {
      const output = join(folder, `shards-${maxShardBytes}`);
      const writer = await createGgufFile(output, { maxShardBytes });
      for (const tensor of from.checkpoint.tensors.keys()) await writer.write(tensor, await from.checkpoint.read(tensor));
      await writer.file('config.json', JSON.stringify(from.config));
      await copyCompanions(from, writer);
      const { files } = await writer.commit();
      expect(files.length > 1).toBe(maxShardBytes < 1e9);
      const theirs = await llamaCpp!.open(join(output, files[0]!), 64);
      rows.push(await theirs.logits(Uint32Array.from({ length: 12 }, (_, i) => 3 + i)));
      await theirs.close();
    }
    await from.close();
    expect(rows[1]).toEqual(rows[0]);
  });

  it.each(Object.entries(cuts))('cuts text by the rule of %s as Fewbit does', async (name, stages) => {
    const from = await openModelDirectory(embeddedModel);
    const output = join(folder, `cuts-${name}`);
    const writer = await createGgufFile(output);
    for (const tensor of from.checkpoint.tensors.keys()) await writer.write(tensor, await from.checkpoint.read(tensor));
    const tokenizer = JSON.parse(await readFile(join(embeddedModel, 'tokenizer.json'), 'utf8'));
    const byteLevel = { ...tokenizer.pre_tokenizer, use_regex: name === 'gpt-2' || name === 'smollm' };
    tokenizer.pre_tokenizer = { type: 'Sequence', pretokenizers: [...stages, byteLevel] };
    tokenizer.model.ignore_merges = name === 'llama-bpe';
    await writer.file('config.json', JSON.stringify(from.config));
    await writer.file('tokenizer.json', JSON.stringify(tokenizer));
    await writer.commit();
    await from.close();
    const directory = await openModelDirectory(output);
    const ours = await openTokenizer(directory);
    const theirs = await llamaCpp!.open(join(output, 'model.gguf'), 64);
    for (const text of texts) expect(theirs.tokenize(text), JSON.stringify(text)).toEqual([...ours.encode(text)]);
    await theirs.close();
    await directory.close();
  });

  // what each architecture's tensors and keys mean: random weights, token ids given
  const changes: Record<string, object> = {
    qwen2: { use_sliding_window: false, layer_types: null },
    gemma2: { query_pre_attn_scalar: 10 },
    mistral: { sliding_window: null },
  };
  it.each(goldenModels)('computes the logits of $name', async ({ name, folder: model, expected }) => {
    const from = await openModelDirectory(model);
    const output = join(folder, `golden-${name}`);
    const writer = await createGgufFile(output);
    for (const tensor of from.checkpoint.tensors.keys()) await writer.write(tensor, await from.checkpoint.read(tensor));
    await writer.file('config.json', JSON.stringify({ ...from.config, ...changes[name] }));
    await writer.file('tokenizer.json', JSON.stringify(characters));
    await writer.commit();
    await from.close();
    const directory = await openModelDirectory(output);
    const ours = await openModel(await openWeights(directory), backend);
    const theirs = await llamaCpp!.open(join(output, 'model.gguf'), 64);
    try {
      const { tokens } = expected();
      const { data } = await ours.logits(tokens);
      const rows = await theirs.logits(tokens);
      expect(relativeDistance(Float32Array.from(rows.flatMap((row) => [...row])), data)).toBeLessThan(2e-3);
    } finally {
      await theirs.close();
      await ours.close();
      await directory.close();
    }
  });
});

/** node-llama-cpp wants a tokenizer; token ids are given, so that any will do. */
const characters = {
  normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '\u2581' },
  pre_tokenizer: null,
  decoder: { type: 'Replace', pattern: { String: '\u2581' }, content: ' ' },
  model: { type: 'BPE', unk_token: '<unk>', vocab: { '<unk>': 0, a: 1, b: 2, '\u2581': 3 }, merges: [] },
};
