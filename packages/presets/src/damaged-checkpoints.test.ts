import { cpSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createModelDirectory, openModelDirectory } from '@fewbit/checkpoint';
import { FewbitError, fromFloat32, random } from '@fewbit/core';
import { type FormatSpec, gptq } from '@fewbit/formats';
import { attentionModule, linears } from '@fewbit/models';
import { openWeights } from '@fewbit/runtime';
import { temporaryFolder } from '@fewbit/testkit';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { inspectModel, layouts, openBackend, type QuantizeJob, quantizePretrained } from './index.js';

const root = temporaryFolder();
const model = join(root, 'float');
let backend: Awaited<ReturnType<typeof openBackend>>['backend'];
beforeAll(async () => {
  ({ backend } = await openBackend());
  await writeSmallModel();
});
afterAll(() => backend.close());

const calibration = { path: join(root, 'letters.txt'), samples: 2, length: 16 };

/** One checkpoint of each layout, and of each way that its tensors are laid out. */
const recipes: Readonly<Record<string, Omit<QuantizeJob, 'model' | 'output'>>> = {
  'pack-quantized': { format: 'int4', group: 32, symmetric: false },
  'int-quantized': { format: 'int8', group: -1, activations: 'int8' },
  'float-quantized': { format: 'fp8' },
  'nvfp4-pack-quantized': { format: 'nvfp4' },
  'mxfp4-pack-quantized': { format: 'mxfp4' },
  'mxfp8-quantized': { format: 'mxfp8' },
  'static inputs': { format: 'int8', group: -1, activations: 'int8-static', calibration },
  'static keys and values': { format: 'int4', group: 32, kv: 'fp8-head', calibration },
  gptq: { format: 'int4', group: 32, layout: 'gptq' },
  'gptq with g_idx': { format: 'int4', group: 32, layout: 'gptq' },
  'gptq-v2': { format: 'int3', group: 32, layout: 'gptq-v2' },
  awq: { format: 'int4', group: 32, symmetric: false, layout: 'awq' },
  'bnb 4 bits': { format: 'nf4', doubleQuantization: true, layout: 'bnb' },
  'bnb 8 bits': { format: 'llm-int8', layout: 'bnb' },
  fp8: { format: 'fp8', granularity: 'block', group: 32, layout: 'fp8' },
  gguf: { format: 'q4_0', layout: 'gguf' },
  fewbit: { format: 'codebook3', layout: 'fewbit', kv: 'int8-dynamic' },
  'two levels of scales': { format: 'int3', doubleQuantization: true, layout: 'fewbit' },
  outliers: { format: 'int4', group: 32, outliers: 0.02, layout: 'fewbit' },
};

/** What no writer puts into a config. */
const odd = [null, -1, 0, 1.5, 1e9, 2 ** 53, '', 'x', [], {}, true, [[]], { a: 1 }, [128, 0], [1e9, 1e9]];

describe.each(Object.entries(recipes))('a damaged checkpoint, %s', (name, recipe) => {
  const good = join(root, name);
  const bad = join(root, `${name} damaged`);
  beforeAll(async () => {
    await quantizePretrained({ method: 'rtn', ...recipe, model, output: good }, { backend });
    if (name.endsWith('g_idx')) await giveGroupsOtherColumns(good);
    cpSync(good, bad, { recursive: true });
  });

  it('is read or refused, whatever bytes of its weights are changed or missing', async () => {
    const file = ['model.gguf', 'model.safetensors'].find((each) => existsSync(join(good, each)))!;
    const bytes = readFileSync(join(good, file));
    const header = file === 'model.gguf' ? bytes.length : 8 + Number(bytes.readBigUInt64LE(0));
    const place = fc.oneof(fc.nat(header - 1), fc.nat(bytes.length - 1));
    const changes = fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(changes, fc.option(fc.nat(bytes.length), { freq: 8, nil: undefined }), async (edits, length) => {
        const copy = Buffer.from(bytes);
        for (const [at, value] of edits) copy[at] = value;
        writeFileSync(join(bad, file), copy.subarray(0, length));
        await readOrRefuse(bad, [file]);
      }),
      { numRuns: 60 },
    );
    writeFileSync(join(bad, file), bytes);
  });

  it.skipIf(recipe.layout === 'gguf')('is read or refused, whatever value of its config is changed or missing', async () => {
    const config = JSON.parse(readFileSync(join(good, 'config.json'), 'utf8')) as Record<string, unknown>;
    const places = placesOf(config);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...places), fc.option(fc.constantFrom(...odd), { nil: undefined }), async (place, value) => {
        const copy = structuredClone(config);
        const key = place.at(-1)!;
        const holder = place.slice(0, -1).reduce((at, each) => at[each] as Record<string, unknown>, copy);
        if (value === undefined) delete holder[key];
        else holder[key] = value;
        writeFileSync(join(bad, 'config.json'), JSON.stringify(copy));
        await readOrRefuse(bad, fieldsOf(place));
      }),
      { numRuns: 100 },
    );
    writeFileSync(join(bad, 'config.json'), JSON.stringify(config));
  });
});

/** A tensor of the small model, or all that belongs to a layer of it, by Hugging Face's name or llama.cpp's; a key of GGUF's metadata. */
const part =
  /\bmodel\.(layers\.\d+|norm|embed_tokens)\b|\blm_head\.|\b(blk\.\d+|output_norm|token_embd)\.|\b(general|llama|tokenizer\.ggml)\.[a-z_]+/;

/** What an error may call a value of the config: the keys that lead to it, but for places in a list and for what leads to all of them. */
function fieldsOf(place: readonly string[]): readonly string[] {
  const fields = place.filter((key) => !/^\d+$/.test(key));
  return fields.length === 1 ? fields : fields.filter((key) => key !== 'quantization_config');
}

/** Everything of a model, but for running it; what fails, says which tensor it is about, or which of the `changed` files and fields. */
async function readOrRefuse(path: string, changed: readonly string[]): Promise<void> {
  try {
    await inspectModel(path);
    const directory = await openModelDirectory(path);
    try {
      const source = await openWeights(directory, layouts);
      for (const { module } of linears(source.plan)) {
        await source.quantized(module);
        await source.linear(module);
        await source.activation?.(module);
      }
      for (const block of source.plan.blocks) await source.keyValues?.(attentionModule(block));
    } finally {
      await directory.close();
    }
  } catch (error) {
    if (!FewbitError.is(error)) throw error;
    const { message } = error;
    if (!part.test(message) && !changed.some((name) => message.includes(name)))
      throw new Error(`names no tensor and none of ${changed.join(', ')}: ${message}`);
  }
}

/** As act-order leaves it: neighbouring columns are in different groups. */
async function giveGroupsOtherColumns(path: string): Promise<void> {
  const natural = `${path} natural`;
  renameSync(path, natural);
  const directory = await openModelDirectory(natural);
  const source = await openWeights(directory, [gptq]);
  const writer = await createModelDirectory(path);
  const formats = new Map<string, FormatSpec>();
  for (const { module, cols } of linears(source.plan)) {
    const matrix = { ...(await source.quantized(module))!, columnGroup: Uint32Array.from({ length: cols }, (_, i) => i % (cols / 32)) };
    for (const [local, tensor] of gptq.pack(matrix)) await writer.write(`${module}.${local}`, tensor);
    formats.set(module, matrix.spec);
  }
  for (const name of directory.checkpoint.tensors.keys())
    if (!name.includes('_proj.')) await writer.write(name, await directory.checkpoint.read(name));
  const quantization_config = gptq.describe(formats, ['lm_head'], { columnGrouped: new Set(formats.keys()) });
  await writer.file('config.json', JSON.stringify({ ...directory.config, quantization_config }));
  await writer.commit();
  await directory.close();
}

/** The path to every value of an object, however deep. */
function placesOf(value: unknown): string[][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, each]) => [[key], ...placesOf(each).map((rest) => [key, ...rest])]);
}

/** One random block, of sizes that every layout takes. */
async function writeSmallModel(): Promise<void> {
  const writer = await createModelDirectory(model);
  const { normal } = random(5);
  const write = (name: string, shape: number[]) => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => normal() * 0.3);
    return writer.write(`${name}.weight`, fromFloat32(values, 'F32', shape));
  };
  const [hidden, inner, block] = [64, 96, 'model.layers.0'];
  for (const name of ['q_proj', 'k_proj', 'v_proj', 'o_proj']) await write(`${block}.self_attn.${name}`, [hidden, hidden]);
  for (const name of ['gate_proj', 'up_proj']) await write(`${block}.mlp.${name}`, [inner, hidden]);
  await write(`${block}.mlp.down_proj`, [hidden, inner]);
  for (const name of [`${block}.input_layernorm`, `${block}.post_attention_layernorm`, 'model.norm']) await write(name, [hidden]);
  await write('model.embed_tokens', [32, hidden]);
  const config = {
    model_type: 'llama',
    hidden_size: hidden,
    intermediate_size: inner,
    num_attention_heads: 4,
    num_key_value_heads: 4,
    num_hidden_layers: 1,
    vocab_size: 32,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
    hidden_act: 'silu',
    tie_word_embeddings: true,
  };
  await writer.file('config.json', JSON.stringify(config));
  const letters = Array.from({ length: 26 }, (_, i) => String.fromCharCode(97 + i));
  const tokenizer = {
    added_tokens: [],
    normalizer: null,
    post_processor: null,
    model: { type: 'BPE', vocab: Object.fromEntries([...letters, 'ab'].map((text, i) => [text, i])), merges: ['a b'] },
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    decoder: { type: 'ByteLevel' },
  };
  await writer.file('tokenizer.json', JSON.stringify(tokenizer));
  await writer.commit();
  writeFileSync(calibration.path, Array.from({ length: 200 }, (_, i) => letters[(i * i) % 26]).join(''));
}
