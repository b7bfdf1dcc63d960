import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { createModelDirectory, type ModelDirectory, openModelDirectory } from '@fewbit/checkpoint';
import { elementCount, fromFloat32, type Matrix, type Tensor } from '@fewbit/core';
import { compressedTensors, createFormat, decodeMatrix, encodeMatrix, type FormatSpec, type QuantizedMatrix } from '@fewbit/formats';
import { referenceBackend } from '@fewbit/kernels';
import { linears, planModel } from '@fewbit/models';
import { fewbitError, goldenModel, temporaryFolder } from '@fewbit/testkit';
import { afterEach, describe, expect, it } from 'vitest';
import { createCache, endTokens, memoryWeights, openModel, openWeights, overlay } from './index.js';

const root = temporaryFolder();
const spec: FormatSpec = { kind: 'int', bits: 4, scheme: 'asymmetric', granularity: { kind: 'group', size: 16 }, scaleType: 'F32' };
const directories: ModelDirectory[] = [];
afterEach(async () => {
  for (const directory of directories.splice(0)) await directory.close();
});

type Tensors = Map<string, Tensor>;
type Config = Record<string, unknown>;

/** Config and tensors of a golden model. */
async function golden(name: Parameters<typeof goldenModel>[0] = 'llama'): Promise<{ config: Config; tensors: Tensors }> {
  const { checkpoint, config, close } = await openModelDirectory(goldenModel(name).folder);
  const tensors = new Map(await Promise.all([...checkpoint.tensors.keys()].map(async (key) => [key, await checkpoint.read(key)] as const)));
  await close();
  return { config, tensors };
}

/** A quantized twin of a golden model, the codes by module. */
async function quantized(name: Parameters<typeof goldenModel>[0] = 'llama') {
  const { config, tensors } = await golden(name);
  const source = await opened(config, tensors);
  const modules = linears(source.plan).map(({ module }) => module);
  const codes = new Map(
    await Promise.all(modules.map(async (module) => [module, encodeMatrix(await source.linear(module), createFormat(spec))] as const)),
  );
  for (const [module, matrix] of codes) {
    tensors.delete(`${module}.weight`);
    for (const [part, tensor] of compressedTensors.pack(matrix)) tensors.set(`${module}.${part}`, tensor);
  }
  const quantization_config = compressedTensors.describe(new Map(modules.map((module) => [module, spec])), ['lm_head']);
  return { config: { ...config, quantization_config } as Config, tensors, codes };
}

/** Through a directory on disk. */
async function opened(config: Config, tensors: Tensors) {
  const path = join(mkdtempSync(join(root, 'model-')), 'x');
  const writer = await createModelDirectory(path);
  for (const [name, tensor] of tensors) await writer.write(name, tensor);
  await writer.file('config.json', JSON.stringify(config));
  await writer.commit();
  const directory = await openModelDirectory(path);
  directories.push(directory);
  return openWeights(directory, [compressedTensors]);
}

function floats(shape: readonly number[], value: number): Tensor {
  return fromFloat32(new Float32Array(elementCount(shape)).fill(value), 'F32', shape);
}

describe('openWeights', () => {
  it.each(['llama', 'gpt2'] as const)('%s: reads codes as they were written, and decodes them', async (name) => {
    const { config, tensors, codes } = await quantized(name);
    const source = await opened(config, tensors);
    for (const [module, matrix] of codes) {
      expect((await source.quantized(module))?.codes).toEqual(matrix.codes);
      expect(await source.linear(module)).toEqual(decodeMatrix(matrix));
    }
    await expect(source.linear('lm_head')).rejects.toThrow(fewbitError('usage', /lm_head is not a linear layer of a block/));
  });

  const down = 'model.layers.1.mlp.down_proj';
  const changes: [what: string, change: (config: Config, tensors: Tensors) => void, code: string, message: RegExp][] = [
    ['a missing packed weight', (_, t) => t.delete(`${down}.weight_packed`), 'checkpoint', /down_proj: Tensor weight_packed is missing/],
    ['a missing scale', (_, t) => t.delete(`${down}.weight_scale`), 'checkpoint', /down_proj: Tensor weight_scale is missing/],
    [
      'a scale of another shape',
      (_, t) => t.set(`${down}.weight_scale`, t.get('model.norm.weight')!),
      'checkpoint',
      /down_proj: Tensor weight_scale is F32 \[32\]: expected/,
    ],
    [
      'another group size in the config',
      (c) => {
        groupOf(c).group_size = 8;
      },
      'checkpoint',
      /layers\.0\.self_attn\.q_proj: Tensor weight_scale is F32 \[32, 2\]: expected .*\[32, 4\]/,
    ],
    [
      'other bits in the config',
      (c) => {
        groupOf(c).num_bits = 8;
      },
      'checkpoint',
      /q_proj: Tensor weight_packed is I32 \[32, 4\]: expected I32 \[32, 8\]/,
    ],
    [
      'another model size in the config',
      (c) => {
        c.intermediate_size = 44;
      },
      'config',
      /makes model\.layers\.0\.mlp\.gate_proj\.bias \[44\], but the checkpoint has it as \[45\]/,
    ],
    [
      'a NaN scale',
      (_, t) => t.set(`${down}.weight_scale`, floats([32, 3], Number.NaN)),
      'checkpoint',
      /layers\.1\.mlp\.down_proj: Tensor weight_scale holds NaN at 0/,
    ],
    ['another norm size', (_, t) => t.set('model.norm.weight', floats([8], 1)), 'config', /makes model\.norm\.weight \[32\]/],
    [
      'an unknown quant_method',
      (c) => {
        c.quantization_config = { quant_method: 'aqlm' };
      },
      'unsupported',
      /quant_method "aqlm" is not read/,
    ],
    [
      'a quantization_config that is text',
      (c) => {
        c.quantization_config = 'int4';
      },
      'unsupported',
      /quant_method undefined is not read/,
    ],
    [
      'a float model whose weights are packed',
      (c) => void delete c.quantization_config,
      'config',
      /makes model\.layers\.0\.self_attn\.q_proj\.weight \[32, 32\], but the checkpoint has no such tensor/,
    ],
  ];
  it.each(changes)('%s', async (_, change, code, message) => {
    const { config, tensors } = await quantized();
    change(config, tensors);
    const read = async () => {
      const source = await opened(config, tensors);
      for (const { module } of linears(source.plan)) await source.linear(module);
    };
    await expect(read()).rejects.toThrow(fewbitError(code, message));
  });

  it('integers without a quantization_config say so', async () => {
    const { config, tensors } = await golden();
    tensors.set('model.norm.weight', { dtype: 'I8', shape: [32], data: new Uint8Array(32) });
    await expect((await opened(config, tensors)).vector('model.norm.weight')).rejects.toThrow(
      fewbitError('unsupported', /model\.norm\.weight is stored as I8/),
    );
  });

  it.each(['model.embed_tokens.weight', 'model.layers.0.input_layernorm.weight', 'model.layers.1.mlp.down_proj.weight', 'lm_head.weight'])(
    'NaN or Inf in %s names it, and leaves nothing in memory',
    async (name) => {
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const { config, tensors } = await golden();
        const data = new Float32Array(new Uint8Array(tensors.get(name)!.data).buffer);
        data[17] = value;
        tensors.set(name, fromFloat32(data, 'F32', tensors.get(name)!.shape));
        const backend = referenceBackend();
        await expect(openModel(await opened(config, tensors), backend)).rejects.toThrow(
          fewbitError('numeric', new RegExp(`^${name.replaceAll('.', '\\.')} has ${value} at index 17`)),
        );
        expect(backend.bytes).toBe(0);
      }
    },
  );

  it('activations that overflow name the first block and token', async () => {
    const { config, tensors } = await golden();
    tensors.set('model.layers.1.mlp.down_proj.weight', floats([32, 45], 3e38));
    const model = await openModel(await opened(config, tensors), referenceBackend());
    const message = fewbitError('numeric', /The output of block model\.layers\.1 has NaN or Inf at token \d+: the weights are damaged/);
    const caches = [createCache(model), createCache(model)] as const;
    const batch = caches.map((cache) => ({ cache, tokens: Uint32Array.of(1, 2) }));
    await expect(model.batch(batch)).rejects.toThrow(fewbitError('numeric', /at token 0 of sequence 0/));
    expect(caches.map(({ length }) => length)).toEqual([0, 0]);
    for (const cache of caches) cache.close();
    await expect(model.logits(Uint32Array.of(3, 4, 5))).rejects.toThrow(message);
    await expect(model.score(Uint32Array.of(3, 4, 5))).rejects.toThrow(message);
    await model.close();
    expect(model.backend.bytes).toBe(0);
  });
});

describe('weights from memory', () => {
  it('overlay gives some linears from matrices or codes, the others from the source', async () => {
    const { config, tensors } = await golden();
    const floats = new Map(
      [...tensors].map(([name, { shape, data }]) => [name, { shape, data: new Float32Array(new Uint8Array(data).buffer) }]),
    );
    const source = memoryWeights(planModel(config), floats);
    const [query, key, value] = linears(source.plan).map(({ module }) => module);
    const codes = encodeMatrix(await source.linear(key!), createFormat(spec));
    const zero = { ...(await source.linear(query!)), data: new Float32Array(32 * 32) };
    const mixed = overlay(
      source,
      new Map<string, Matrix | QuantizedMatrix>([
        [query!, zero],
        [key!, codes],
      ]),
    ); // prettier-ignore
    expect(await mixed.linear(query!)).toBe(zero);
    expect(await mixed.quantized(query!)).toBeUndefined();
    expect(await mixed.linear(key!)).toEqual(decodeMatrix(codes));
    expect(await mixed.quantized(key!)).toBe(codes);
    expect(await mixed.linear(value!)).toEqual(await source.linear(value!));
    floats.delete('lm_head.weight');
    expect(() => memoryWeights(planModel(config), floats)).toThrow(fewbitError('config', /lm_head\.weight/));
  });
});

describe('endTokens', () => {
  const of = (config: Config, generation?: string) => endTokens({ config, text: async () => generation });
  it('come from generation_config.json, else from config.json; one or several', async () => {
    expect(await of({ eos_token_id: 2 })).toEqual([2]);
    expect(await of({ eos_token_id: 2 }, '{"eos_token_id":[3,4]}')).toEqual([3, 4]);
    expect(await of({ eos_token_id: 2 }, '{"eos_token_id":null}')).toEqual([2]);
    expect(await of({}, 'null')).toEqual([]);
    await expect(of({}, '{')).rejects.toThrow(fewbitError('config', /generation_config\.json is not JSON/));
    await expect(of({ eos_token_id: '2' })).rejects.toThrow(fewbitError('config', /config\.json: eos_token_id must be .* got "2"/));
  });
});

function groupOf({ quantization_config }: Config): Record<string, unknown> {
  return (quantization_config as { config_groups: { group_0: { weights: Record<string, unknown> } } }).config_groups.group_0.weights;
}
