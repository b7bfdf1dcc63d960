import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { openGguf, openModelDirectory } from '@fewbit/checkpoint';
import { embeddedModel, fewbitError, fileHashes, temporaryFolder } from '@fewbit/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type ConvertJob,
  convertPretrained,
  inspectModel,
  openBackend,
  openPretrained,
  type QuantizeJob,
  quantizePretrained,
} from './index.js';

const folder = temporaryFolder();
let backend: Awaited<ReturnType<typeof openBackend>>['backend'];
beforeAll(async () => {
  ({ backend } = await openBackend());
});
afterAll(() => backend.close());

let count = 0;
const place = () => join(folder, `${count++}`, 'out');
async function quantized(job: Omit<QuantizeJob, 'model' | 'output'>): Promise<string> {
  const output = place();
  await quantizePretrained({ method: 'rtn', ...job, model: embeddedModel, output }, { backend });
  return output;
}
async function converted(model: string, layout: string, job: Partial<ConvertJob> = {}) {
  const output = place();
  return convertPretrained({ model, output, layout, ...job });
}
/** Every tensor by name: dtype, shape, hash of its bytes. */
async function tensors(path: string): Promise<Record<string, string>> {
  const { checkpoint, close } = await openModelDirectory(path);
  const found: Record<string, string> = {};
  for (const name of [...checkpoint.tensors.keys()].sort()) {
    const { dtype, shape, data } = await checkpoint.read(name);
    found[name] = `${dtype} ${shape} ${createHash('sha256').update(data).digest('hex')}`;
  }
  await close();
  return found;
}
/** Names of tensors of `like` that are not the same in both. */
async function changed(a: string, b: string, like = /./): Promise<string[]> {
  const [ours, theirs] = [await tensors(a), await tensors(b)];
  return [...new Set([...Object.keys(ours), ...Object.keys(theirs)])].filter((name) => like.test(name) && ours[name] !== theirs[name]);
}
async function typesOf(path: string): Promise<Record<string, number>> {
  const file = await openGguf(join(path, 'model.gguf'));
  const types: Record<string, number> = {};
  for (const { type } of file.tensors.values()) types[type] = (types[type] ?? 0) + 1;
  await file.close();
  return types;
}
async function logits(path: string, tokens: Uint32Array): Promise<Float32Array> {
  const { model, close } = await openPretrained(path, backend);
  const { data } = await model.logits(tokens);
  await close();
  return data;
}

/** The largest between the logits of two models. */
async function difference(a: string, b: string): Promise<number> {
  const tokens = Uint32Array.from({ length: 12 }, (_, i) => 3 + ((i * i * 31) % 900));
  const [ours, theirs] = [await logits(a, tokens), await logits(b, tokens)];
  return ours.reduce((most, value, i) => Math.max(most, Math.abs(value - theirs[i]!)), 0);
}

describe('convert between Hugging Face and GGUF', () => {
  it('bfloat16 and back: the same bytes, tokenizer and logits', async () => {
    const file = await converted(embeddedModel, 'gguf');
    expect(file).toMatchObject({ layout: 'gguf', exact: true, layers: 0, notes: [] });
    expect(await typesOf(file.output)).toEqual({ BF16: 36, F32: 11 }); // norms are F32 there
    const back = await converted(file.output, 'float', { dtype: 'bf16' });
    expect(back.exact).toBe(true);
    expect(await changed(back.output, embeddedModel)).toEqual([]);
    expect(await difference(back.output, embeddedModel)).toBe(0);
    const text = 'The people of the United States, in 1787 …';
    const [ours, theirs] = await Promise.all([back.output, embeddedModel].map((path) => openPretrained(path, backend)));
    expect(ours!.tokenizer.encode(text)).toEqual(theirs!.tokenizer.encode(text));
    await Promise.all([ours!.close(), theirs!.close()]);
  });

  it('float16: matrices rounded, norms as they were; the way back changes nothing more', async () => {
    const file = await converted(embeddedModel, 'gguf', { dtype: 'f16' });
    expect(await typesOf(file.output)).toEqual({ F16: 36, F32: 11 });
    const back = await converted(file.output, 'float');
    expect(back.exact).toBe(true);
    const again = await converted(back.output, 'gguf');
    expect(again.exact).toBe(true);
    expect(await changed(again.output, file.output)).toEqual([]);
    const norm = 'model.norm.weight';
    const asFloats = await converted(embeddedModel, 'float', { dtype: 'f32' });
    expect((await tensors(file.output))[norm]).toBe((await tensors(asFloats.output))[norm]);
  });

  it.each(['compressed-tensors', 'gptq'])(
    'symmetric int4 in groups of 32 in %s is Q4_0, int5 is Q5_0 and int8 is Q8_0: nothing is lost',
    async (layout) => {
      for (const [format, type] of [
        ['int4', 'q4_0'],
        ['int8', 'q8_0'],
        ...(layout === 'gptq' ? [] : [['int5', 'q5_0'] as const]),
      ] as const) {
        const model = await quantized({ format, group: 32, symmetric: true, layout });
        const file = await converted(model, 'gguf');
        expect(file).toMatchObject({ exact: true, layers: 35 });
        expect(await typesOf(file.output)).toEqual({ [type]: 35, BF16: 1, F32: 11 });
        expect(await difference(file.output, model)).toBeLessThan(2e-3); // other kernels
        const back = await converted(file.output, layout);
        expect(back.exact).toBe(true);
        const again = await converted(back.output, 'gguf');
        expect(fileHashes(again.output)['model.gguf']).toBe(fileHashes(file.output)['model.gguf']);
        if (layout === 'gptq') expect(await changed(back.output, model, /_proj\./)).toEqual([]);
      }
    },
  );

  it('MXFP4 is the same in compressed-tensors and in GGUF: there and back give the same bytes', async () => {
    const model = await quantized({ format: 'mxfp4' });
    const file = await converted(model, 'gguf');
    expect(file).toMatchObject({ exact: true, layers: 35, notes: [] });
    expect(await typesOf(file.output)).toEqual({ mxfp4: 35, BF16: 1, F32: 11 });
    const back = await converted(file.output, 'compressed-tensors');
    expect(back).toMatchObject({ exact: true, layers: 35 });
    expect(await changed(back.output, model, /_proj\./)).toEqual([]);
    const again = await converted(back.output, 'gguf');
    expect(fileHashes(again.output)['model.gguf']).toBe(fileHashes(file.output)['model.gguf']);
  });

  it('a mix of llama.cpp decodes to Hugging Face, where it computes the same', async () => {
    const file = await quantized({ format: 'q4_k_m', layout: 'gguf' });
    const back = await converted(file, 'float');
    expect(back.exact).toBe(true);
    expect(await difference(file, back.output)).toBeLessThan(1e-3);
  });

  it('what Q4_0 does not have is refused, or rounded again and the error said', async () => {
    const model = await quantized({ format: 'int4', group: 32, symmetric: false });
    const output = place();
    await expect(convertPretrained({ model, output, layout: 'gguf' })).rejects.toThrow(
      fewbitError(
        'unsupported',
        /Layout gguf has no format with the weights of model\.layers\.0\.self_attn\.q_proj \(int4 g32 asym.*--refit/,
      ),
    );
    expect(readdirSync(folder)).not.toContain(output);
    const report = await converted(model, 'gguf', { refit: { format: 'q5_0' } });
    expect(report.exact).toBe(false);
    expect(report.refitError).toBeGreaterThan(1e-5);
    expect(report.refitError).toBeLessThan(5e-3);
    expect((await typesOf(report.output)).q5_0).toBe(35);
    await expect(converted(model, 'gguf', { refit: { format: 'int4' } })).rejects.toThrow(
      fewbitError('usage', /Unknown format "int4" for layout gguf/),
    );
    await expect(converted(model, 'gguf', { refit: { format: 'q4_0', group: 32 } })).rejects.toThrow(
      fewbitError('usage', /leave --group out/),
    );
  });
});

describe('embedding and head in codes', () => {
  it('stay as they are from GGUF to GGUF, and through a layout with a place for them', async () => {
    const file = await quantized({ format: 'q4_0', layout: 'gguf' });
    expect(await typesOf(file)).toEqual({ q4_0: 35, q8_0: 1, F32: 11 });
    expect(fileHashes((await converted(file, 'gguf')).output)['model.gguf']).toBe(fileHashes(file)['model.gguf']);
    for (const chain of [['gguf'], ['fewbit', 'gguf']]) {
      let at = file;
      for (const layout of chain) {
        const report = await converted(at, layout);
        expect(report, layout).toMatchObject({ exact: true, layers: 36, notes: [] });
        at = report.output;
      }
      expect(await changed(at, file)).toEqual([]);
    }
    expect(await difference((await converted(file, 'fewbit')).output, file)).toBeLessThan(2e-3); // other kernels
  });

  it('become float where a layout has no place for them, which is said', async () => {
    const file = await quantized({ format: 'q4_0', layout: 'gguf' });
    const report = await converted(file, 'compressed-tensors');
    expect(report).toMatchObject({
      exact: true,
      layers: 35,
      notes: [expect.stringMatching(/^model\.embed_tokens was in q8_0, for which layout compressed-tensors has no place .*in float now$/)],
    });
    expect((await tensors(report.output))['model.embed_tokens.weight']).toMatch(/^F32 /);
    expect(await difference(report.output, file)).toBeLessThan(2e-3);
  });
});

describe('convert with --refit', () => {
  const formatsOf = async (path: string) =>
    Object.fromEntries(
      (await inspectModel(path)).formats.filter(({ format }) => !/^(B?F)\d+$/.test(format)).map((one) => [one.format, one.modules]),
    );

  it('gives every layer the format that was asked for, and leaves those that have it', async () => {
    const mix = await quantized({ format: 'q4_k_m', layout: 'gguf' });
    const int4 = { format: 'int4', group: 32 };
    const report = await converted(mix, 'compressed-tensors', { refit: int4 });
    expect(report).toMatchObject({ exact: false, layers: 35, refitLayers: 35 });
    expect(report.refitError).toBeGreaterThan(1e-4);
    expect(await formatsOf(report.output)).toEqual({ 'int4 g32 symmetric-full': 35 });
    const plain = await quantized({ format: 'q4_0', layout: 'gguf' });
    const same = await converted(plain, 'compressed-tensors', { refit: int4 });
    expect(same).toMatchObject({ exact: true, layers: 35 });
    expect(same.refitLayers).toBeUndefined();
    expect(await changed(same.output, (await converted(plain, 'compressed-tensors')).output)).toEqual([]);
  });

  it('rounds to a mix of llama.cpp what is in other types', async () => {
    const mix = await quantized({ format: 'q4_k_m', layout: 'gguf' });
    const types = await typesOf(mix);
    const report = await converted(mix, 'gguf', { refit: { format: 'q8_0' } });
    expect(await typesOf(report.output)).toEqual({ q8_0: 36, F32: 11 });
    expect(report).toMatchObject({ exact: false, layers: 36, refitLayers: 36 - types.q8_0! });
    expect(await changed(report.output, mix, /embed_tokens/)).toEqual([]);
  });
});

describe('convert with --target', () => {
  it('refuses what the engine would not load, before any work', async () => {
    const model = await quantized({ format: 'int3', group: 32, layout: 'gptq-v2' });
    const job = { model, output: folder, layout: 'compressed-tensors' }; // the folder is there already
    await expect(convertPretrained({ ...job, target: 'vllm' })).rejects.toEqual(
      fewbitError(
        'unsupported',
        /Target vllm would refuse this model: .*q_proj: int3 g32 asymmetric is not loaded: asymmetric integers have/,
      ),
    );
    await expect(convertPretrained({ ...job, target: 'vllm', refit: { format: 'int4', group: 24 } })).rejects.toEqual(
      fewbitError('unsupported', /Target vllm would refuse this model: .*groups of 24 are not loaded/),
    );
    await expect(convertPretrained({ ...job, layout: 'gguf', target: 'vllm' })).rejects.toEqual(
      fewbitError('unsupported', /Layout gguf has no format with the weights of model\.layers\.0\.self_attn\.q_proj \(int3 g32 asym/),
    );
    await expect(convertPretrained({ ...job, target: 'tgi' })).rejects.toEqual(fewbitError('usage', /Unknown target "tgi"\. Choose one/));
    await expect(convertPretrained({ ...job, layout: 'float', target: 'vllm' })).rejects.toEqual(
      fewbitError('usage', /leave it out with --layout float/),
    );
    expect(await converted(model, 'compressed-tensors', { target: 'transformers' })).toMatchObject({ exact: true, layers: 35 });
  });
});

describe('convert between GPTQ, compressed-tensors and AWQ', () => {
  it.each([
    { symmetric: true, chain: ['compressed-tensors', 'gptq', 'awq', 'compressed-tensors'] },
    { symmetric: true, chain: ['gptq', 'compressed-tensors', 'awq', 'gptq'] },
    { symmetric: false, chain: ['awq', 'gptq-v2', 'compressed-tensors', 'awq'] },
  ])('$chain, symmetric: $symmetric: the same bytes at the end', async ({ symmetric, chain: [first, ...rest] }) => {
    const start = await quantized({ format: 'int4', group: 64, symmetric, layout: first! });
    let at = start;
    for (const layout of rest) {
      const report = await converted(at, layout);
      expect(report, layout).toMatchObject({ exact: true, layers: 35 });
      at = report.output;
    }
    expect(await changed(at, start, /_proj\./)).toEqual([]);
  });
});
