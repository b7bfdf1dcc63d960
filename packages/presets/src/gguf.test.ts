import { createHash } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openGguf, openModelDirectory, readImatrix, writeImatrix } from '@fewbit/checkpoint';
import type { GgmlTypeName } from '@fewbit/formats';
import { linears, planModel } from '@fewbit/models';
import { embeddedModel, fewbitError, goldenModel, temporaryFolder } from '@fewbit/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ggufMix } from './gguf-mixes.js';
import {
  type BackendChoice,
  convertPretrained,
  inspectModel,
  openBackend,
  openPretrained,
  parseRecipe,
  planQuantize,
  type QuantizeJob,
  quantizePretrained,
  writeImportance,
} from './index.js';

const folder = temporaryFolder();
let backend: Awaited<ReturnType<typeof openBackend>>['backend'];
beforeAll(async () => {
  ({ backend } = await openBackend({} satisfies BackendChoice));
});
afterAll(() => backend.close());

async function quantized(name: string, job: Omit<QuantizeJob, 'model' | 'output'> & { readonly model?: string }) {
  const output = join(folder, name);
  const report = await quantizePretrained({ layout: 'gguf', model: embeddedModel, output, ...job }, { backend });
  return { output, report };
}

describe('layout gguf', () => {
  it.each(['f32', 'f16', 'bf16', 'q8_0', 'q4_0', 'q5_1', 'q2_k', 'q3_k_m', 'q4_k_m', 'q6_k', 'iq4_xs', 'tq2_0', 'mxfp4'])(
    '%s: one file, read back as it was in memory',
    async (format) => {
      const { output, report } = await quantized(format, { method: 'rtn', format });
      expect(report.readBack).toBeLessThan(1e-5);
      expect(report.notes).toEqual([]);
      const file = await openGguf(join(output, 'model.gguf'));
      expect(file.metadata.get('general.architecture')?.value).toBe('llama');
      expect(file.metadata.get('tokenizer.ggml.pre')?.value).toBe('gpt-2');
      await file.close();
      const inspection = await inspectModel(join(output, 'model.gguf'));
      expect(inspection.parameters).toBe((await inspectModel(embeddedModel)).parameters);
      expect(inspection.modules.filter((module) => module.format === 'U8')).toEqual([]);
    },
  );

  it('says what it is and where it comes from, in the file and in a card beside it', async () => {
    const model = join(folder, 'models--some--small', 'snapshots', 'main');
    cpSync(embeddedModel, model, { recursive: true });
    writeFileSync(join(model, 'README.md'), '---\nlicense: mit\nlanguage: en\ntags: [chat, small]\n---\nA small model.\n');
    writeFileSync(join(model, 'LICENSE'), 'free');
    const { output } = await quantized('described', { model, method: 'rtn', format: 'q8_0' });
    const file = await openGguf(join(output, 'model.gguf'));
    const values = Object.fromEntries([...file.metadata].map(([key, { value }]) => [key, value]));
    await file.close();
    expect(values).toMatchObject({
      'general.name': 'small',
      'general.license': 'mit',
      'general.languages': ['en'],
      'general.tags': ['chat', 'small'],
      'general.quantized_by': expect.stringMatching(/^Fewbit \d/),
      'general.base_model.count': 1,
      'general.base_model.0.repo_url': 'https://huggingface.co/some/small',
    });
    const { files } = await inspectModel(output, { verify: true });
    expect(files).toEqual([
      expect.objectContaining({ name: 'LICENSE', state: 'same' }),
      expect.objectContaining({ name: 'model.gguf', state: 'same' }),
    ]);
    const again = join(folder, 'described-again');
    await convertPretrained({ model: output, output: again, layout: 'float' });
    expect(readFileSync(join(again, 'LICENSE'), 'utf8')).toBe('free');
    expect(readFileSync(join(again, 'README.md'), 'utf8')).toMatch(
      /^---\nlicense: mit\n[\s\S]*base_model: some\/small\n[\s\S]*A small model\.\n$/,
    );
  });

  it('generates and tokenizes from the file alone', async () => {
    const { output } = await quantized('alone', { method: 'rtn', format: 'f32' });
    const ours = await openPretrained(join(output, 'model.gguf'), backend);
    const original = await openPretrained(embeddedModel, backend);
    const text = "The people of the United States, in 1787, hadn't seen “that” 한국.\n\n  Two  spaces.";
    expect(ours.tokenizer.encode(text)).toEqual(original.tokenizer.encode(text));
    expect(ours.eos).toEqual(original.eos);
    const tokens = ours.tokenizer.encode(text).slice(0, 40);
    const [a, b] = [await ours.model.logits(tokens), await original.model.logits(tokens)];
    a.data.forEach((value, i) => {
      if (Math.abs(value - b.data[i]!) > 1e-4) throw new Error(`logit ${i}: ${value}, not ${b.data[i]}`);
    });
    await ours.close();
    await original.close();
  });

  it('rounds by GPTQ into any type, with less error in the outputs than rounding to nearest', async () => {
    const calibration = { path: join(embeddedModel, 'calibration.jsonl'), samples: 4, length: 64, sampling: 'first' as const };
    const error = ({ layers }: Awaited<ReturnType<typeof quantized>>['report']) =>
      layers.reduce((sum, layer) => sum + (layer.outputError ?? 0), 0);
    for (const format of ['q4_0']) {
      const nearest = await quantized(`${format}-rtn`, { method: 'rtn', methodOptions: { clip: 'hessian' }, format, calibration });
      const swept = await quantized(`${format}-gptq`, { method: 'gptq', format, calibration });
      expect(error(swept.report), format).toBeLessThan(error(nearest.report));
    }
  });

  it('weighs errors by an imatrix', async () => {
    const path = join(folder, 'ones.dat');
    const { config, close } = await openModelDirectory(embeddedModel);
    const plan = planModel(config);
    await close();
    const names = ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up', 'ffn_down'];
    const entries = new Map(
      linears(plan).map(({ cols }, i) => [
        `blk.${Math.floor(i / 7)}.${names[i % 7]}.weight`,
        Float32Array.from({ length: cols }, (_, j) => (j % 2 ? 1 : 1e-6)),
      ]),
    );
    await writeImatrix(path, { entries, datasets: ['odd inputs'], chunks: 3 });
    const plain = await quantized('plain', { method: 'rtn', methodOptions: { clip: 'plain' }, format: 'q4_1' });
    const weighed = await quantized('weighed', { format: 'q4_1', imatrix: path });
    expect(weighed.report.method).toBe('rtn');
    expect(weighed.report.layers[3]!.weightError).toBeGreaterThan(plain.report.layers[3]!.weightError);
    await expect(quantized('no', { method: 'gptq', imatrix: path })).rejects.toEqual(fewbitError('usage', /leave --imatrix out/));
    await writeImatrix(join(folder, 'none.gguf'), { entries: new Map([['x', Float32Array.of(1)]]), datasets: [] });
    await expect(quantized('none', { imatrix: join(folder, 'none.gguf') })).rejects.toEqual(
      fewbitError('calibration', /no entry for model.layers.0.self_attn.q_proj \(and 34 more layers\)/),
    );
  });

  it('measures importance on a text: into a file of either form, or for itself, with the same result', async () => {
    const calibration = { path: join(embeddedModel, 'calibration.jsonl'), samples: 4, length: 64 };
    const hashes: string[] = [];
    const errors: number[] = [];
    const add = async (name: string, job: Omit<QuantizeJob, 'model' | 'output'>) => {
      const { output, report } = await quantized(name, { format: 'q4_k_s', calibration, ...job });
      const { checkpoint, close } = await openModelDirectory(output);
      const hash = createHash('sha256');
      for (const tensor of [...checkpoint.tensors.keys()].sort()) hash.update((await checkpoint.read(tensor)).data);
      await close();
      hashes.push(hash.digest('hex'));
      errors.push(report.layers.reduce((sum, layer) => sum + (layer.outputError ?? 0), 0));
    };
    await add('imatrix-none', { method: 'rtn', methodOptions: { clip: 'plain' } });
    await add('imatrix-measured', { imatrix: true });
    for (const name of ['measured.gguf', 'measured.dat']) {
      const output = join(folder, name);
      const report = await writeImportance({ model: embeddedModel, output, calibration }, { backend });
      expect(report).toMatchObject({ entries: 35, calibration: { sequences: 4, length: 64, tokens: 256 } });
      expect(await readImatrix(output)).toMatchObject({ datasets: ['calibration.jsonl'], chunks: 4 });
      await expect(writeImportance({ model: embeddedModel, output, calibration }, { backend })).rejects.toEqual(
        fewbitError('output', /exists already/),
      );
      await add(`imatrix-${name.replace('.', '-')}`, { imatrix: output });
    }
    const [none, ...measured] = hashes;
    expect(new Set(measured).size).toBe(1);
    expect(none).not.toBe(measured[0]);
    expect(errors[1]).toBeLessThan(errors[0]!);
    expect(() => parseRecipe({ imatrix: true })).toThrow(fewbitError('usage', /say on which text with --calibration/));
  });

  it('says early what it cannot do', async () => {
    await expect(quantized('a', { format: 'int4' })).rejects.toEqual(
      fewbitError('usage', /Unknown format "int4" for layout gguf. Choose one of: f32/),
    );
    await expect(quantized('a', { format: 'q4_k_m', group: 32 })).rejects.toEqual(fewbitError('usage', /leave --group out/));
    await expect(quantized('a', { format: 'q4_0', doubleQuantization: true })).rejects.toEqual(
      fewbitError('usage', /leave --double-quantization out/),
    );
    await expect(quantized('a', { format: 'q4_k_m', layout: 'compressed-tensors' })).rejects.toEqual(
      fewbitError('usage', /Unknown format "q4_k_m"/),
    );
    for (const [name, why] of [
      ['gemma2', /llama\.cpp has another scale of the attention scores for gemma2/],
      ['qwen2', /llama\.cpp has no sliding window for qwen2/],
    ] as const) {
      const refusal = fewbitError('unsupported', why);
      const job = { layout: 'gguf', model: goldenModel(name).folder, output: folder }; // the folder is there already
      for (const target of [undefined, 'llama.cpp'])
        await expect(planQuantize({ ...job, method: 'rtn', format: 'q8_0', target }, { backend })).rejects.toEqual(refusal);
      await expect(convertPretrained(job)).rejects.toEqual(refusal);
    }
    const tokenizer = join(folder, 'wordpiece');
    cpSync(embeddedModel, tokenizer, { recursive: true });
    writeFileSync(join(tokenizer, 'tokenizer.json'), JSON.stringify({ model: { type: 'WordPiece', vocab: {} } }));
    await expect(planQuantize({ layout: 'gguf', model: tokenizer, output: join(folder, 'no') }, { backend })).rejects.toEqual(
      fewbitError('unsupported', /A "WordPiece" tokenizer has no place in GGUF/),
    );
    const plan = await planQuantize({ layout: 'gguf', model: embeddedModel, output: join(folder, 'planned'), method: 'rtn' }, { backend });
    expect(plan).toMatchObject({ layout: 'gguf', layers: 36 });
    expect(plan.format).toMatch(/q8_0.*q5_0|q5_0.*q8_0/);
  });
});

describe('ggufMix', () => {
  /** 32 layers of Mistral 7B: four query heads to a key head, all rows multiples of 256. */
  const plan = planModel({
    model_type: 'mistral',
    hidden_size: 4096,
    intermediate_size: 14336,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    vocab_size: 32000,
  });
  const types = (name: string, imatrix = false) => {
    const choose = ggufMix(name, plan, imatrix);
    const of = (module: string, cols = 4096) => {
      const chosen = choose({
        module,
        role: module === 'lm_head' ? 'head' : module.includes('embed') ? 'embedding' : 'linear',
        rows: 1,
        cols,
      });
      return typeof chosen === 'string' ? chosen : (chosen as { type: GgmlTypeName }).type;
    };
    const layers = (part: string) => Array.from({ length: 32 }, (_, i) => of(`model.layers.${i}.${part}`));
    return { head: of('lm_head'), embedding: of('model.embed_tokens'), gate: of('model.layers.9.mlp.gate_proj'), of, layers };
  };
  const layersOf = (found: readonly string[], type: string) => found.flatMap((value, i) => (value === type ? [i] : []));

  it("gives llama.cpp's types", () => {
    const medium = types('q4_k_m');
    expect(medium).toMatchObject({ head: 'q6_k', embedding: 'q4_k', gate: 'q4_k' });
    const better = [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31];
    expect(layersOf(medium.layers('self_attn.v_proj'), 'q6_k')).toEqual(better);
    expect(layersOf(medium.layers('mlp.down_proj'), 'q6_k')).toEqual(better);
    expect(layersOf(types('q4_k_s').layers('self_attn.v_proj'), 'q5_k')).toEqual([0, 1, 2, 3]);
    expect(layersOf(types('q3_k_m').layers('mlp.down_proj'), 'q5_k')).toEqual([0, 1]);
    expect(new Set(types('q2_k').layers('self_attn.v_proj'))).toEqual(new Set(['q4_k']));
    expect(layersOf(types('iq4_xs').layers('mlp.down_proj'), 'q5_k')).toEqual([0, 1, 2, 3]);
    expect(layersOf(types('iq4_xs', true).layers('mlp.down_proj'), 'q5_k')).toEqual([]);
    expect(types('q8_0')).toMatchObject({ head: 'q8_0', embedding: 'q8_0', gate: 'q8_0' });
    expect(types('tq1_0')).toMatchObject({ head: 'q6_k', embedding: 'q4_k', gate: 'tq1_0' });
    expect(types('q4_k')).toMatchObject({ gate: 'q4_k' });
  });

  it('falls back where blocks do not divide the rows', () => {
    const { of } = types('q4_k_m');
    expect(of('model.layers.9.mlp.gate_proj', 352)).toBe('q5_0');
    expect(of('model.layers.0.mlp.down_proj', 352)).toBe('q8_0');
    expect(of('model.layers.9.mlp.gate_proj', 172)).toBe('F16');
    expect(of('lm_head', 64)).toBe('q8_0');
    expect(of('lm_head', 172)).toBe('F16');
  });
});
