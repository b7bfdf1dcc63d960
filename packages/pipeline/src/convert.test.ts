import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { weightError } from '@fewbit/algorithm';
import { createModelDirectory, openModelDirectory } from '@fewbit/checkpoint';
import { fromFloat32, random, type Tensor, toFloat32 } from '@fewbit/core';
import {
  type ActivationSpec,
  awq,
  bitsandbytes,
  compressedTensors,
  type FormatSpec,
  fewbit,
  fp8,
  gptq,
  gptqV2,
  type IntSpec,
  type Layout,
  restateFor,
} from '@fewbit/formats';
import { referenceBackend } from '@fewbit/kernels';
import { rtn } from '@fewbit/rtn';
import { openWeights } from '@fewbit/runtime';
import { fewbitError, goldenModel, temporaryFolder } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import { type ConvertOptions, convert, quantize } from './index.js';

const layouts = [compressedTensors, gptq, gptqV2, awq, bitsandbytes, fp8, fewbit];
const root = temporaryFolder();
const place = () => join(mkdtempSync(join(root, 'case-')), 'out');
const llama = goldenModel('mistral').folder;
const int4 = (scheme: IntSpec['scheme'], size = 8): IntSpec => ({
  kind: 'int',
  bits: 4,
  scheme,
  granularity: { kind: 'group', size },
  scaleType: 'F16',
});

const made = async (layout: Layout, format: FormatSpec, model = llama): Promise<string> => {
  const output = place();
  await quantize({ model, output, method: rtn(), format, layout, backend: referenceBackend() });
  return output;
};
const converted = async (model: string, layout: Layout | undefined, options: Partial<ConvertOptions> = {}) => {
  const output = place();
  const report = await convert({ model, output, layouts, layout, ...options });
  return { output, report };
};
/** A small random model whose sizes are multiples of 8, as AWQ takes them. */
async function byEights(): Promise<string> {
  const path = place();
  const writer = await createModelDirectory(path);
  const { normal } = random(5);
  const config = {
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    hidden_size: 16,
    intermediate_size: 24,
    ...{ num_attention_heads: 2, num_key_value_heads: 2, num_hidden_layers: 1 },
    vocab_size: 24,
    ...{ max_position_embeddings: 64, rms_norm_eps: 1e-5, rope_theta: 10000 },
    hidden_act: 'silu',
    tie_word_embeddings: true,
  };
  const write = (name: string, shape: number[]) => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => normal() * 0.3);
    return writer.write(name, fromFloat32(values, 'F32', shape));
  };
  const block = 'model.layers.0';
  for (const name of ['q_proj', 'k_proj', 'v_proj', 'o_proj']) await write(`${block}.self_attn.${name}.weight`, [16, 16]);
  for (const name of ['gate_proj', 'up_proj']) await write(`${block}.mlp.${name}.weight`, [24, 16]);
  await write(`${block}.mlp.down_proj.weight`, [16, 24]);
  for (const name of [`${block}.input_layernorm`, `${block}.post_attention_layernorm`, 'model.norm']) await write(`${name}.weight`, [16]);
  await write('model.embed_tokens.weight', [24, 16]);
  await writer.file('config.json', JSON.stringify(config));
  await writer.commit();
  return path;
}

/** Bytes of all tensors, by name. */
async function tensors(path: string): Promise<Record<string, { dtype: Tensor['dtype']; shape: readonly number[]; hex: string }>> {
  const { checkpoint, close } = await openModelDirectory(path);
  const found: Awaited<ReturnType<typeof tensors>> = {};
  for (const name of [...checkpoint.tensors.keys()].sort()) {
    const { dtype, shape, data } = await checkpoint.read(name);
    found[name] = { dtype, shape, hex: Buffer.from(data).toString('hex') };
  }
  await close();
  return found;
}
const config = (path: string) => JSON.parse(readFileSync(join(path, 'config.json'), 'utf8')) as Record<string, unknown>;

describe('convert', () => {
  it.each([
    ['compressed-tensors', 'gptq', compressedTensors, gptq, 'symmetric-full'],
    ['compressed-tensors', 'gptq-v2', compressedTensors, gptqV2, 'asymmetric'],
    ['compressed-tensors', 'awq', compressedTensors, awq, 'asymmetric'],
    ['compressed-tensors', 'awq', compressedTensors, awq, 'symmetric-full'],
    ['gptq-v2', 'awq', gptqV2, awq, 'asymmetric'],
    ['gptq', 'fewbit', gptq, fewbit, 'symmetric-full'],
    ['awq', 'compressed-tensors', awq, compressedTensors, 'symmetric-full'],
  ] as const)('%s → %s and back gives the same bytes (%#)', async (_, __, a, b, scheme) => {
    const first = await made(a, int4(scheme), await byEights());
    const { output, report } = await converted(first, b);
    expect(report).toMatchObject({ layout: b.id, exact: true, notes: [] });
    const { output: back } = await converted(output, a);
    expect(await tensors(back)).toEqual(await tensors(first));
    expect(config(back)).toEqual(config(first));
  });

  it('takes scales to the type that a layout has, where that is exact', async () => {
    const bf16 = { ...int4('symmetric-full'), scaleType: 'BF16' } as const;
    await expect(made(compressedTensors, bf16).then((model) => converted(model, fewbit))).resolves.toMatchObject({
      report: { exact: true },
    });
    const matrix = { rows: 1, cols: 8, spec: bf16, codes: new Uint8Array(8), params: [{ scale: 0.5, zero: 8 }] };
    expect(restateFor(gptq, matrix)?.spec).toMatchObject({ scaleType: 'F16' });
    const unlike = { ...matrix, params: [{ scale: 2 ** -100, zero: 8 }] };
    expect(restateFor(gptq, unlike)).toBeUndefined();
  });

  it('refuses a layout without the same weights, names why, and rounds again when asked to', async () => {
    const model = await made(compressedTensors, { kind: 'float', element: 'e4m3', granularity: { kind: 'channel' }, scaleType: 'F32' });
    const output = place();
    await expect(convert({ model, output, layouts, layout: gptq })).rejects.toThrow(
      fewbitError('unsupported', /Layout gptq has no format with the weights of model\.layers\.0.*fp8-e4m3 channel.*--refit/),
    );
    expect(readdirSync(join(output, '..'))).toEqual([]);
    const { report } = await converted(model, gptq, { refit: int4('symmetric-full') });
    expect(report.exact).toBe(false);
    expect(report.refitError).toBeGreaterThan(1e-4);
    expect(report.refitError).toBeLessThan(0.02);
  });

  it('gives matrices that engines run as one a common tensor scale when it rounds again', async () => {
    const granularity = { kind: 'group', size: 16 } as const;
    const codebook: FormatSpec = { kind: 'codebook', levels: 'fitted', bits: 4, granularity, scaleType: 'F16' };
    const refit: FormatSpec = { kind: 'float', element: 'e2m1', granularity, scaleType: 'E4M3' };
    const { output } = await converted(await made(fewbit, codebook), compressedTensors, { refit });
    const { checkpoint, close } = await openModelDirectory(output);
    const divisor = async (name: string) => toFloat32(await checkpoint.read(`model.layers.0.${name}.weight_global_scale`))[0];
    expect(await divisor('self_attn.q_proj')).toBe(await divisor('self_attn.v_proj'));
    expect(await divisor('mlp.up_proj')).toBe(await divisor('mlp.gate_proj'));
    expect(await divisor('mlp.down_proj')).not.toBe(await divisor('mlp.up_proj'));
    await close();
  });

  it('decodes to a float model, whose weights are what the codes stood for', async () => {
    const model = await made(compressedTensors, int4('asymmetric'));
    const { output, report } = await converted(model, undefined);
    expect(report).toMatchObject({ layout: 'float', exact: true, layers: 0 });
    expect(config(output)).toEqual(config(llama));
    const { output: bf16, report: downcast } = await converted(model, undefined, { floats: 'BF16' });
    expect(downcast.exact).toBe(false);
    expect(config(bf16)).toMatchObject({ dtype: 'bfloat16' });
    for (const { dtype } of Object.values(await tensors(bf16))) expect(dtype).toBe('BF16');
  });

  it('refuses zero points of 0 in GPTQ version 1, and rounds again without them when asked to', async () => {
    const positive = place();
    const writer = await createModelDirectory(positive);
    const float = await openModelDirectory(llama);
    for (const name of float.checkpoint.tensors.keys()) {
      const tensor = await float.checkpoint.read(name);
      const data = toFloat32(tensor);
      await writer.write(name, fromFloat32(name.endsWith('up_proj.weight') ? data.map(Math.abs) : data, 'F32', tensor.shape));
    }
    await writer.file('config.json', readFileSync(join(llama, 'config.json')));
    await writer.commit();
    await float.close();
    const source = await made(gptqV2, int4('asymmetric'), positive);
    await expect(converted(source, gptq)).rejects.toThrow(fewbitError('unsupported', /has the zero point 0, .*: use layout gptq-v2/));
    const { report } = await converted(source, gptq, { refit: int4('asymmetric') });
    expect(report.exact).toBe(false);
    expect(report.refitError).toBeLessThan(0.01);
    // quantizing avoids them from the start
    const module = 'model.layers.0.mlp.up_proj';
    const original = await openModelDirectory(positive);
    const weight = await (await openWeights(original)).linear(module);
    await original.close();
    for (const method of [rtn(), rtn({ clip: 'plain' })]) {
      const output = place();
      await quantize({ model: positive, output, method, format: int4('asymmetric'), layout: gptq, backend: referenceBackend() });
      const written = await openModelDirectory(output);
      const weights = await openWeights(written, [gptq]);
      const { params } = (await weights.quantized(module))!;
      expect(new Set(Array.from(params, (tile) => (tile as { zero: number }).zero))).toEqual(new Set([1]));
      expect(weightError(weight, await weights.linear(module))).toBeLessThan(0.005);
      await written.close();
    }
  });

  it('keeps how keys and values are rounded, and refuses a layout that cannot say it', async () => {
    const keyValues: ActivationSpec = {
      format: { kind: 'float', element: 'e4m3', granularity: { kind: 'tensor' }, scaleType: 'F32' },
      scaling: 'static',
    };
    const model = place();
    const calibration = { source: 'numbers', fingerprint: 'x', windows: [Uint32Array.from({ length: 20 }, (_, i) => i)] };
    const int8 = { ...int4('symmetric-full'), bits: 8 as const };
    await quantize({
      model: llama,
      output: model,
      method: rtn(),
      format: int8,
      keyValues,
      calibration,
      layout: compressedTensors,
      backend: referenceBackend(),
    });
    const { output } = await converted(model, fewbit);
    const { output: back } = await converted(output, compressedTensors);
    const scales = async (path: string) => Object.entries(await tensors(path)).filter(([name]) => name.endsWith('.k_scale'));
    expect((await scales(model)).length).toBeGreaterThan(0);
    expect(await scales(back)).toEqual(await scales(model));
    expect(config(back)).toMatchObject({ quantization_config: { kv_cache_scheme: { type: 'float', num_bits: 8 } } });
    const modelOpt = place();
    const source = await openModelDirectory(model);
    const writer = await createModelDirectory(modelOpt);
    for (const name of source.checkpoint.tensors.keys())
      await writer.write(name.replace(/\.([kv])_scale$/, '.$1_proj.$1_scale'), await source.checkpoint.read(name));
    await writer.file('config.json', JSON.stringify(source.config));
    await writer.commit();
    await source.close();
    expect(await scales((await converted(modelOpt, compressedTensors)).output)).toEqual(await scales(model));
    await expect(converted(model, gptq)).rejects.toThrow(
      fewbitError('unsupported', /gptq cannot round keys and values .* say nothing of them/),
    );
    const plain = await converted(model, fewbit, { plainKeyValues: true });
    expect(plain.report.notes).toEqual([expect.stringMatching(/keys and values were rounded .*, and are no more/)]);
    expect(await scales(plain.output)).toEqual([]);
    const { output: float, report } = await converted(model, undefined);
    expect(report.notes.join()).toMatch(/keys and values were rounded/);
    expect(await scales(float)).toEqual([]);
  });

  it('keeps how inputs are rounded, and refuses a layout that cannot say it', async () => {
    const int8: IntSpec = { kind: 'int', bits: 8, scheme: 'symmetric-full', granularity: { kind: 'channel' }, scaleType: 'F16' };
    const model = place();
    const activation = { format: { ...int8, scaleType: 'F32' as const }, scaling: 'dynamic' as const };
    await quantize({
      model: llama,
      output: model,
      method: rtn(),
      format: int8,
      activation,
      layout: compressedTensors,
      backend: referenceBackend(),
    });
    const { output } = await converted(model, fewbit);
    const { output: back } = await converted(output, compressedTensors);
    expect(await tensors(back)).toEqual(await tensors(model));
    await expect(converted(model, gptq)).rejects.toThrow(
      fewbitError('unsupported', /cannot round the inputs of .*int8 per token.*say nothing/),
    );
    expect((await converted(model, undefined)).report.notes).toEqual([expect.stringMatching(/inputs were rounded/)]);
    const plain = await converted(model, gptq, { plainInputs: true });
    expect(plain.report).toMatchObject({
      exact: true,
      notes: [expect.stringMatching(/inputs were rounded \(int8 per token.*, and are no more/)],
    });
  });

  it('lets a caller look at the plan before anything is written, and at what was written before it is moved', async () => {
    const model = await made(compressedTensors, int4('asymmetric'), await byEights());
    const output = place();
    const seen: string[] = [];
    const accept: ConvertOptions['accept'] = ({ layout, format }) => {
      const { bits, scheme, scaleType } = format('model.layers.0.mlp.up_proj') as IntSpec;
      seen.push(`${layout.id} ${bits} ${scheme} ${scaleType}`, ...readdirSync(join(output, '..')));
    };
    const check: ConvertOptions['check'] = async (path) => {
      seen.push(...readdirSync(path));
      throw new Error('no');
    };
    await expect(convert({ model, output, layouts, layout: awq, accept, check })).rejects.toThrow('no');
    expect(seen).toEqual(['awq 4 asymmetric F16', 'config.json', 'model.safetensors']);
    expect(readdirSync(join(output, '..'))).toEqual([]);
  });

  it('refuses a float model, which has nothing to convert to a layout', async () => {
    await expect(converted(llama, gptq)).rejects.toThrow(fewbitError('unsupported', /is a float model: use fewbit quantize/));
    const { output } = await converted(llama, undefined);
    expect(await tensors(output)).toEqual(await tensors(llama));
  });

  it('reads back what it wrote, and leaves nothing where that differs', async () => {
    const model = await made(compressedTensors, int4('symmetric-full'));
    const wrong: Layout = {
      ...gptq,
      pack: (matrix) => gptq.pack({ ...matrix, codes: matrix.codes.map((code, i) => (i === 3 ? 15 - code : code)) }),
    };
    const output = place();
    await expect(convert({ model, output, layouts, layout: wrong })).rejects.toThrow(
      fewbitError('output', /reads back with .* at 3 of model/),
    );
    expect(readdirSync(join(output, '..'))).toEqual([]);
  });
});
