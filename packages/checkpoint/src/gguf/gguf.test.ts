import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FewbitError, toFloat32 } from '@fewbit/core';
import { planModel } from '@fewbit/models';
import { embeddedModel, fewbitError, goldenModels, shared, temporaryFolder } from '@fewbit/testkit';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  copyCompanions,
  createGgufFile,
  type GgufValue,
  memorySource,
  openGguf,
  openModelDirectory,
  readGguf,
  writeGguf,
} from '../index.js';
import { ggufHeader } from './gguf-header.js';

const folder = temporaryFolder();
const text = (value: string): GgufValue => ({ type: 'string', value });
const u32 = (value: number): GgufValue => ({ type: 'u32', value });

/** A small file of every kind of value, with tensors of three types. */
const metadata = new Map<string, GgufValue>([
  ['general.architecture', text('llama')],
  ['a.u8', { type: 'u8', value: 255 }],
  ['a.i8', { type: 'i8', value: -128 }],
  ['a.u16', { type: 'u16', value: 65535 }],
  ['a.i16', { type: 'i16', value: -3 }],
  ['a.i32', { type: 'i32', value: -7 }],
  ['a.f32', { type: 'f32', value: 0.5 }],
  ['a.bool', { type: 'bool', value: true }],
  ['a.u64', { type: 'u64', value: 2n ** 63n }],
  ['a.i64', { type: 'i64', value: -(2 ** 40) }],
  ['a.f64', { type: 'f64', value: Math.PI }],
  ['a.texts', { type: 'array', of: 'string', value: ['', 'ö', 'long '.repeat(20)] }],
  ['a.numbers', { type: 'array', of: 'i32', value: [1, -2, 3] }],
]);
const contents = new Map<string, { type: string; shape: number[]; data: Uint8Array }>([
  ['one', { type: 'F32', shape: [3], data: Uint8Array.from({ length: 12 }, (_, i) => i) }],
  ['two', { type: 'q4_0', shape: [2, 64], data: Uint8Array.from({ length: 72 }, (_, i) => i) }],
  ['three', { type: 'BF16', shape: [2, 2], data: new Uint8Array(8) }],
]);

async function smallFile(name: string): Promise<Uint8Array> {
  const path = join(folder, name);
  const tensors = [...contents].map(([tensor, { type, shape, data }]) => ({
    name: tensor,
    type,
    shape,
    bytes: data.length,
    content: async () => data,
  }));
  await writeGguf(path, metadata, tensors);
  return new Uint8Array(await readFile(path));
}

describe('the container', () => {
  let bytes: Uint8Array;
  beforeAll(async () => {
    bytes = await smallFile('small.gguf');
  });

  it('reads back what it wrote', async () => {
    const file = await readGguf(memorySource(bytes));
    expect([...file.metadata]).toEqual([...metadata]);
    expect([...file.tensors.keys()]).toEqual(['one', 'two', 'three']);
    for (const [name, { type, shape, data }] of contents) {
      expect(file.tensors.get(name)).toMatchObject({ type, shape });
      expect(await file.read(name)).toEqual(data);
    }
    await expect(file.read('tow')).rejects.toEqual(fewbitError('checkpoint', /no tensor "tow": it has "two"/));
  });

  it('says of damage what it is and where', async () => {
    const damaged = async (change: (copy: Uint8Array, view: DataView) => Uint8Array | undefined) => {
      const copy = bytes.slice();
      return readGguf(memorySource(change(copy, new DataView(copy.buffer)) ?? copy, 'x.gguf'));
    };
    const at = (what: string) => Buffer.from(bytes).indexOf(what);
    const number = (place: number, value: number | bigint) => async () =>
      damaged((_, view) => void view.setBigUint64(place, BigInt(value), true));
    const small = (place: number, value: number) => async () => damaged((_, view) => void view.setUint32(place, value, true));
    const cases: [() => Promise<unknown>, RegExp][] = [
      [small(0, 1), /x.gguf: it does not begin with GGUF/],
      [small(4, 1), /version 1; versions 2 and 3/],
      [small(4, 3 << 24), /big-endian/],
      [number(8, 2n ** 62n), /the number of tensors is .* at most/],
      [number(8, 5000), /the number of tensors is 5000, more than the \d+ bytes that follow/],
      [number(16, 70_000), /the number of keys is 70000; at most/],
      [number(24, 2n ** 40n), /the length of key 0 is .*at most 65535/],
      [small(at('a.u8') + 4, 99), /the type of key "a.u8" is 99/],
      [() => damaged((copy) => void copy.fill(7, at('a.bool') + 10, at('a.bool') + 11)), /key "a.bool" is a bool of value 7/],
      [() => damaged((copy) => void copy.fill(0x69, at('a.u16') + 2, at('a.u16') + 3)), /key "a.i16" is given twice/],
      [() => damaged((copy) => void copy.fill(0xff, at('ö'), at('ö') + 1)), /key "a.texts" is not UTF-8/],
      [small(at('a.numbers') + 9 + 4, 9), /"a.numbers" is an array of arrays/],
      [number(at('a.numbers') + 9 + 8, 10_000), /the length of key "a.numbers" is 10000, more than/],
      [small(at('two') + 3, 5), /tensor "two" has 5 dimensions/],
      [number(at('two') + 7, 63), /tensor "two" has rows of 63, which blocks of 32/],
      [number(at('two') + 15, 2n ** 61n), /tensor "two" .* more bytes than any file/],
      [small(at('two') + 23, 4), /tensor "two" has type 4, which is no type of ggml, or one that was removed/],
      [number(at('two') + 27, 64), /tensor "two" has offset 64; after the tensors before it must come 32/],
      [number(at('two') + 15, 3), /tensor "three" has offset 128; after the tensors before it must come/],
      [() => damaged((copy) => copy.subarray(0, copy.length - 30)), /tensor "three" ends at byte \d+, the file at \d+: it is truncated/],
      [() => damaged((copy) => copy.subarray(0, 420)), /the file ends at byte 420, inside .*: it is truncated/],
      [() => damaged((copy) => new Uint8Array([...copy, ...new Uint8Array(40)])), /40 bytes at its end belong to no tensor/],
    ];
    for (const [act, message] of cases) await expect(act(), String(message)).rejects.toEqual(fewbitError('checkpoint', message));
  });

  it('refuses a strange alignment, and takes a larger one', async () => {
    for (const [value, message] of [
      [u32(48), /general.alignment is 48/],
      [{ type: 'u64', value: 64 } as const, /general.alignment is 64 \(u64\)/],
    ] as const) {
      const header = ggufHeader(new Map([['general.alignment', value]]), []);
      await expect(readGguf(memorySource(header))).rejects.toEqual(fewbitError('checkpoint', message));
    }
    const header = ggufHeader(new Map([['general.alignment', u32(64)]]), [{ name: 'a', type: 'F32', shape: [1], bytes: 4 }]);
    const whole = new Uint8Array(Math.ceil(header.length / 64) * 64 + 4);
    whole.set(header);
    whole[whole.length - 4] = 9;
    expect([...(await (await readGguf(memorySource(whole))).read('a'))]).toEqual([9, 0, 0, 0]);
  });

  it('whatever bytes are changed, it reads or names the damage, and never asks for more than the file', async () => {
    const edits = fc.array(fc.record({ at: fc.nat(bytes.length - 1), value: fc.nat(255) }), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(edits, fc.option(fc.nat(bytes.length), { nil: undefined }), async (changes, length) => {
        const copy = bytes.slice();
        for (const { at, value } of changes) copy[at] = value;
        const source = memorySource(length === undefined ? copy : copy.subarray(0, length), 'x.gguf');
        const watched = {
          ...source,
          read(offset: number, count: number) {
            expect(count).toBeLessThanOrEqual(source.size);
            return source.read(offset, count);
          },
        };
        try {
          const file = await readGguf(watched);
          for (const name of file.tensors.keys()) await file.read(name);
        } catch (error) {
          if (!FewbitError.is(error)) throw error;
          expect(error).toEqual(fewbitError('checkpoint', /^x\.gguf: /));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('refuses to write what llama.cpp would not load', () => {
    const long = { name: 'x'.repeat(64), type: 'F32', shape: [1], bytes: 4 };
    expect(() => ggufHeader(new Map(), [long])).toThrow(/longer than the 63 bytes/);
    expect(() => ggufHeader(new Map([['a', { type: 'array', of: 'i32', value: [] }]]), [])).toThrow(/"a" is an empty array/);
  });

  it('joins the files of a split', async () => {
    const split = (no: number, count = 2, tensors = 2) =>
      new Map<string, GgufValue>([
        ['general.architecture', text('llama')],
        ['split.no', { type: 'u16', value: no }],
        ['split.count', { type: 'u16', value: count }],
        ['split.tensors.count', { type: 'i32', value: tensors }],
      ]);
    const part = (name: string) => ({ name, type: 'F32', shape: [1], bytes: 4, content: async () => Uint8Array.of(name.length, 0, 0, 0) });
    const path = (no: number) => join(folder, `m-0000${no}-of-00002.gguf`);
    await writeGguf(path(1), split(0), [part('a')]);
    await expect(openGguf(path(1))).rejects.toEqual(
      fewbitError('checkpoint', /lacks 1 of 2 parts of a split model \("m-00002-of-00002.gguf"\): its download did not finish/),
    );
    await writeGguf(path(2), split(1), [part('bb')]);
    const file = await openGguf(path(1));
    expect((await file.read('bb'))[0]).toBe(2);
    expect([...file.tensors.keys()]).toEqual(['a', 'bb']);
    await file.close();
    await expect(openGguf(path(2))).rejects.toEqual(fewbitError('checkpoint', /later part of a split model: give the first/));

    const wrong: [number, Map<string, GgufValue>, string, RegExp][] = [
      [1, split(0), 'bb', /split.no is 0, expected 1: it is part of another model/],
      [1, split(1, 3), 'bb', /split.count is 3, expected 2/],
      [1, new Map(), 'bb', /split.no is undefined, expected 1/],
      [1, split(1), 'a', /tensor "a" is in .*00001-of-00002.gguf too/],
      [0, split(0, 2, 3), 'a', /split.tensors.count is 3, the parts hold 2/],
      [0, split(0, 3), 'a', /it is a part of 3 \(split.count\), but its name does not say so/],
    ];
    for (const [no, keys, name, message] of wrong) {
      for (const other of [0, 1]) {
        await rm(path(other + 1));
        await writeGguf(path(other + 1), other === no ? keys : split(other), [part(other === no ? name : ['a', 'bb'][other]!)]);
      }
      await expect(openGguf(path(1)), String(message)).rejects.toEqual(fewbitError('checkpoint', message));
    }
  });
});

/** What llama.cpp takes for granted, where the golden models differ: Qwen2 without window, Gemma 2's scale from its head size. */
const inGguf: Readonly<Record<string, object>> = {
  qwen2: { use_sliding_window: false, layer_types: null },
  gemma2: { query_pre_attn_scalar: 10 },
};

/** Everything that a directory holds, written through `createGgufFile` and opened again. */
async function throughGguf(model: string, name: string, { changes = {}, maxShardBytes = 1e9 } = {}) {
  const from = await openModelDirectory(model);
  const path = join(folder, name);
  const writer = await createGgufFile(path, { maxShardBytes });
  for (const tensor of from.checkpoint.tensors.keys()) await writer.write(tensor, await from.checkpoint.read(tensor));
  await writer.file('config.json', JSON.stringify({ ...from.config, ...changes }));
  await copyCompanions(from, writer);
  await writer.commit();
  return { from, to: await openModelDirectory(path), path, notes: writer.notes };
}

describe.each(goldenModels.map(({ name, folder: model }) => ({ name, model })))('a $name model', ({ name, model }) => {
  it('comes back with the same plan and the same tensors', async () => {
    const { from, to, notes } = await throughGguf(model, name, { changes: inGguf[name] });
    const window = name === 'mistral' ? [expect.stringMatching(/no sliding window: beyond \d+ tokens/)] : [];
    expect(notes).toEqual([...window, expect.stringMatching(/no tokenizer.json/)]);
    const plan = planModel(to.config, to.checkpoint.tensors);
    const original = planModel({ ...from.config, ...inGguf[name] }, from.checkpoint.tensors);
    // llama.cpp's Mistral is a Llama; the window stays
    expect(rounded(plan)).toEqual(rounded({ ...original, architecture: plan.architecture }));
    for (const tensor of to.checkpoint.tensors.keys()) {
      const theirs = await from.checkpoint.read(tensor);
      const ours = await to.checkpoint.read(tensor);
      expect(ours.shape).toEqual(theirs.shape);
      expect(to.checkpoint.tensors.get(tensor)).toMatchObject({ dtype: ours.dtype, shape: ours.shape });
      // gain − 1 + 1 − 1 loses what lies below the last bit of the gain
      const originals = toFloat32(theirs);
      const largest = toFloat32(ours).reduce((most, value, i) => Math.max(most, Math.abs(value - originals[i]!)), 0);
      expect(largest).toBeLessThanOrEqual(name === 'gemma2' ? 2 ** -23 : 0);
    }
    expect([...to.checkpoint.tensors.keys()].length).toBe(heldTensors(from.checkpoint.tensors, original).length);
    await from.close();
    await to.close();
  });
});

function heldTensors(tensors: ReadonlyMap<string, unknown>, { head }: ReturnType<typeof planModel>): string[] {
  return [...tensors.keys()].filter((name) => !(head.tied && name === 'lm_head.weight'));
}

/** Numbers as float32 with the rotary frequencies to six digits: GGUF stores float32. */
function rounded(value: unknown): unknown {
  if (typeof value === 'number') return Number(value.toPrecision(6));
  if (value instanceof Float32Array) return Array.from(value, (x) => Number(x.toPrecision(5)));
  if (Array.isArray(value)) return value.map(rounded);
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, rounded(entry)]));
  return value;
}

describe('a split model', () => {
  it('has all metadata in the first part, and is read by its directory or that part as the whole is', async () => {
    const { from, to: whole, path: wholePath } = await throughGguf(embeddedModel, 'whole');
    const { from: again, to: split, path } = await throughGguf(embeddedModel, 'split', { maxShardBytes: 3e5 });
    await from.close();
    await again.close();
    const parts = (await readdir(path)).sort();
    expect(parts.length).toBeGreaterThan(2);
    expect(parts[0]).toBe(`model-00001-of-${String(parts.length).padStart(5, '0')}.gguf`);
    for (const [index, name] of parts.entries()) {
      const { metadata: keys, tensors } = await readGguf(memorySource(new Uint8Array(await readFile(join(path, name)))));
      expect(keys.get('split.no')).toEqual({ type: 'u16', value: index });
      expect(keys.get('split.count')).toEqual({ type: 'u16', value: parts.length });
      expect(keys.get('split.tensors.count')).toEqual({ type: 'i32', value: whole.checkpoint.tensors.size });
      expect(keys.size > 3).toBe(index === 0);
      const bytes = [...tensors.values()].reduce((sum, tensor) => sum + tensor.bytes, 0);
      expect(tensors.size === 1 || bytes <= 3e5).toBe(true);
    }
    expect(await readdir(wholePath)).toEqual(['model.gguf']);
    const byPart = await openModelDirectory(join(path, parts[0]!));
    for (const model of [split, byPart]) {
      expect(model.config).toEqual(whole.config);
      expect([...model.checkpoint.tensors.keys()]).toEqual([...whole.checkpoint.tensors.keys()]);
      for (const name of whole.checkpoint.tensors.keys()) {
        const [found, expected] = [await model.checkpoint.read(name), await whole.checkpoint.read(name)];
        expect(found.shape).toEqual(expected.shape);
        expect(Buffer.compare(found.data, expected.data), name).toBe(0);
      }
      await model.close();
    }
    await whole.close();
    await rm(join(path, parts[0]!));
    await expect(openModelDirectory(path)).rejects.toEqual(
      fewbitError('checkpoint', /later parts of a split model \(.*00002.*\) without the first: its download did not finish/),
    );
    await expect(createGgufFile(join(folder, 'none'), { maxShardBytes: 0 })).rejects.toEqual(fewbitError('usage', /above 0, got 0/));
  });
});

describe('tokenizers', () => {
  const models = [embeddedModel, shared('models/babyllama-1m'), shared('models/stories-260k')].filter((path) => path !== undefined);
  it.each(models)('%s comes back with the vocabulary, and the merges in an order that makes the same tokens', async (model) => {
    const { from, to } = await throughGguf(model, `tokenizer-${models.indexOf(model)}`);
    const [ours, theirs] = await Promise.all([to, from].map(async (directory) => JSON.parse((await directory.text('tokenizer.json'))!)));
    expect(ours.model.vocab).toEqual(theirs.model.vocab);
    expect(ours.added_tokens).toEqual(theirs.added_tokens);
    expect(ours.normalizer).toEqual(theirs.normalizer);
    expect(ours.pre_tokenizer).toEqual(theirs.pre_tokenizer);
    expect(ours.decoder).toEqual(theirs.decoder);
    expect(ours.post_processor.single).toEqual(theirs.post_processor.single);
    const pairs = (merges: unknown[]) => merges.map((pair) => (Array.isArray(pair) ? pair.join(' ') : pair));
    expect(pairs(ours.model.merges)).toEqual(expect.arrayContaining(pairs(theirs.model.merges)));
    expect(to.config).toMatchObject({ bos_token_id: 1, eos_token_id: 2 });
    await from.close();
    await to.close();
  });
});

describe('a model file', () => {
  it.each(Object.keys(inGguf))('is not written where llama.cpp would compute another %s', async (name) => {
    await expect(throughGguf(goldenModels.find((model) => model.name === name)!.folder, `refused-${name}`)).rejects.toEqual(
      fewbitError('unsupported', /llama.cpp has .* would not be the same there/),
    );
  });

  it('is refused where llama.cpp would compute something else, or Fewbit cannot', async () => {
    const path = join(folder, 'refused.gguf');
    const open = async (entries: [string, GgufValue][], names: string[] = ['token_embd.weight']) => {
      const tensors = names.map((name) => ({ name, type: 'F32', shape: [1, 1], bytes: 4, content: async () => new Uint8Array(4) }));
      await rm(path, { force: true });
      await writeGguf(path, new Map(entries), tensors);
      return openModelDirectory(path);
    };
    await expect(open([['general.architecture', text('rwkv')]])).rejects.toEqual(
      fewbitError('unsupported', /architecture "rwkv" is not supported/),
    );
    await expect(open([['general.architecture', text('llama')]], ['x'])).rejects.toEqual(
      fewbitError('checkpoint', /no tensor token_embd.weight/),
    );
    await expect(open([['general.architecture', text('llama')]])).rejects.toEqual(
      fewbitError('checkpoint', /"llama.embedding_length" must be a whole number/),
    );
    await expect(
      open([
        ['general.architecture', text('llama')],
        ['llama.expert_count', u32(8)],
      ]),
    ).rejects.toEqual(fewbitError('unsupported', /mixtures of experts/));
  });
});
