import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createModelDirectory, openModelDirectory } from '@fewbit/checkpoint';
import { fromFloat32, toFloat32 } from '@fewbit/core';
import {
  type ActivationSpec,
  activationName,
  compressedTensors,
  type FormatSpec,
  fewbit,
  type IntSpec,
  type Layout,
} from '@fewbit/formats';
import { gptq } from '@fewbit/gptq';
import { type Backend, referenceBackend } from '@fewbit/kernels';
import { linears, planModel } from '@fewbit/models';
import { rtn } from '@fewbit/rtn';
import { createCache, openModel, openWeights } from '@fewbit/runtime';
import { fewbitError, fileHashes, goldenModel, temporaryFolder } from '@fewbit/testkit';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { type Progress, type QuantizeOptions, quantize } from './index.js';

const root = temporaryFolder();
const place = () => join(mkdtempSync(join(root, 'case-')), 'out');
const format: IntSpec = { kind: 'int', bits: 4, scheme: 'asymmetric', granularity: { kind: 'group', size: 16 }, scaleType: 'F32' };
const windows = Array.from({ length: 6 }, (_, w) => Uint32Array.from({ length: 20 }, (_, i) => (w * 31 + i * i * 7 + 3) % 64));
const calibration = { source: 'numbers', fingerprint: 'x', windows };
const llama = goldenModel('llama').folder;

let backend: Backend;
beforeEach(() => {
  backend = referenceBackend();
});
const run = async (options: Partial<QuantizeOptions> = {}) => {
  const output = options.output ?? place();
  return quantize({ model: llama, output, method: rtn(), format, layout: compressedTensors, backend, ...options });
};
const files = (path: string) => Object.fromEntries(readdirSync(path).map((name) => [name, readFileSync(join(path, name))]));

/** Fails, leaves nothing beside the output's place, and nothing in the backend. */
async function fails(options: Partial<QuantizeOptions>, code: string, message: RegExp): Promise<void> {
  const output = place();
  await expect(run({ output, ...options })).rejects.toThrow(fewbitError(code, message));
  expect(readdirSync(join(output, '..'))).toEqual([]);
  expect(backend.bytes).toBe(0);
}

/** A golden model with some tensors changed. */
async function changed(name: string, change: (data: Float32Array) => void): Promise<string> {
  const path = place();
  const { checkpoint, close } = await openModelDirectory(llama);
  const writer = await createModelDirectory(path);
  for (const key of checkpoint.tensors.keys()) {
    const tensor = await checkpoint.read(key);
    const data = toFloat32(tensor);
    if (key === name) change(data);
    await writer.write(key, fromFloat32(data, 'F32', tensor.shape));
  }
  await close();
  await writer.file('config.json', readFileSync(join(llama, 'config.json')));
  await writer.commit();
  return path;
}

describe('quantize', () => {
  it('reports every layer, its bits and errors, and what was read back', async () => {
    const phases: Progress[] = [];
    const report = await run({ calibration, onProgress: (progress) => phases.push(progress) });
    const modules = linears(planModel(goldenModel('llama').config())).map(({ module }) => module);
    expect(report.layers.map(({ name }) => name)).toEqual(modules);
    expect(report).toMatchObject({ method: 'rtn', layout: 'compressed-tensors' });
    expect(report.calibration).toEqual({ source: 'numbers', sequences: 6, length: 20, tokens: 120 });
    for (const layer of report.layers) {
      expect(layer.weightError).toBeGreaterThan(0);
      expect(layer.weightError).toBeLessThan(0.02);
      expect(layer.outputError).toBeLessThan(0.05);
      // 4 bits and per group of 16 (the last of 45: 13) a float32 scale and a zero point
      expect(layer.bitsPerWeight).toBeGreaterThan(6);
      expect(layer.bitsPerWeight).toBeLessThan(8);
    }
    expect(report.readBack).toBeLessThan(1e-6);
    const sizes = await tensorBytes(report.output);
    expect(report.bytes.after).toBe(sizes.all);
    expect(report.layers.reduce((sum, { bytes }) => sum + bytes, 0) / sizes.quantized).toBeGreaterThan(0.9);
    expect(phases.map(({ fraction }) => fraction)).toEqual(phases.map(({ fraction }) => fraction).toSorted((a, b) => a - b));
    expect(phases.at(-1)).toMatchObject({ phase: 'verify', fraction: expect.closeTo(1, 1) });
    expect(backend.bytes).toBe(0);
  });

  it.each(['qwen2', 'qwen3', 'gemma2', 'gpt2', 'mistral', 'llama3-rope'] as const)(
    '%s is quantized and read back by rtn and gptq',
    async (name) => {
      const model = goldenModel(name).folder;
      for (const method of [rtn(), gptq()]) {
        const report = await run({ model, method, calibration, format });
        expect(report.readBack).toBeLessThan(1e-6);
        expect(report.notes.join()).toMatch(name === 'gpt2' ? /8 layers of this gpt2 are Conv1D in transformers/ : /^$/);
      }
    },
  );

  const int8: IntSpec = { kind: 'int', bits: 8, scheme: 'symmetric-full', granularity: { kind: 'channel' }, scaleType: 'F32' };
  const fp8: FormatSpec = { kind: 'float', element: 'e4m3', granularity: { kind: 'channel' }, scaleType: 'F32' };
  const perTensor = { kind: 'tensor' } as const;
  const micro = (element: 'e2m1' | 'e4m3', size: number, scaleType: 'E8M0' | 'E4M3'): FormatSpec => ({
    ...{ kind: 'float', element, scaleType },
    granularity: { kind: 'group', size },
  });
  it.each<[string, FormatSpec, ActivationSpec]>([
    ['W8A8', int8, { format: int8, scaling: 'dynamic' }],
    ['W8A8 static', int8, { format: { ...int8, granularity: perTensor }, scaling: 'static' }],
    ['W4A8', format, { format: int8, scaling: 'dynamic' }],
    ['FP8 W8A8', fp8, { format: fp8, scaling: 'dynamic' }],
    ['FP8 W8A8 static', fp8, { format: { ...fp8, granularity: perTensor }, scaling: 'static' }],
    ['NVFP4 W4A4', micro('e2m1', 16, 'E4M3'), { format: micro('e2m1', 16, 'E4M3'), scaling: 'local' }],
    ['MXFP4 W4A4', micro('e2m1', 32, 'E8M0'), { format: micro('e2m1', 32, 'E8M0'), scaling: 'dynamic' }],
    ['MXFP8 W8A8', micro('e4m3', 32, 'E8M0'), { format: micro('e4m3', 32, 'E8M0'), scaling: 'dynamic' }],
  ])('%s runs, calibrates and is read back with rounded inputs', async (_, weights, activation) => {
    for (const method of [rtn(), gptq()]) {
      const report = await run({ method, format: weights, activation, calibration, observer: 'mse' });
      expect(report.readBack).toBeLessThan(1e-6);
      expect(report.activations).toBe(activationName(activation));
      expect(report.layers[0]!.activation).toBe(report.activations);
      const weightOnly = await run({ method, format: weights, calibration });
      expect(weightOnly.activations).toBeUndefined();
      // later layers were calibrated on what rounded inputs make of the stream
      expect(report.layers.at(-1)!.outputError).not.toBe(weightOnly.layers.at(-1)!.outputError);
    }
  });

  it('puts the same static scale before linears of one input', async () => {
    const activation: ActivationSpec = { format: { ...int8, granularity: perTensor }, scaling: 'static' };
    const { output } = await run({ format: int8, activation, calibration });
    const { checkpoint, close } = await openModelDirectory(output);
    const scale = async (name: string) => toFloat32(await checkpoint.read(`model.layers.0.${name}.input_scale`))[0]!;
    expect(await scale('self_attn.q_proj')).toBe(await scale('self_attn.v_proj'));
    expect(await scale('mlp.up_proj')).toBe(await scale('mlp.gate_proj'));
    expect(await scale('mlp.down_proj')).not.toBe(await scale('mlp.up_proj'));
    await close();
  });

  it('rounds keys and values by scales that cover those of the calibration text', async () => {
    const keyValues: ActivationSpec = { format: { ...fp8, granularity: perTensor }, scaling: 'static' };
    const report = await run({ keyValues, calibration });
    expect(report.keyValues).toBe(activationName(keyValues));
    expect(readFileSync(join(report.output, 'README.md'), 'utf8').match(/\| keys and values \|.*/g)).toEqual([
      `| keys and values | ${report.keyValues}, scales by minmax |`,
    ]);
    expect(report.readBack).toBeLessThan(1e-6);
    const { checkpoint, close } = await openModelDirectory(report.output);
    const scale = async (name: string) => toFloat32(await checkpoint.read(`model.layers.1.self_attn.${name}_scale`))[0]!;
    expect(await scale('k')).not.toBe(await scale('v'));
    // as large as the largest key of a token that was seen, by the model that was written
    const source = await openWeights(await openModelDirectory(report.output), [compressedTensors]);
    const model = await openModel(
      { ...source, keyValues: async (module) => (module.includes('layers.0') ? source.keyValues!(module) : undefined) },
      backend,
    );
    const cache = createCache(model);
    let most = 0;
    for (const window of windows) {
      cache.truncate(0);
      await model.logits(window, { cache });
      for (const value of (await backend.download(cache.blocks[1]!.keys[0]!)).subarray(0, window.length * 16))
        most = Math.max(most, Math.abs(value));
    }
    expect((await scale('k')) * 448).toBeCloseTo(most, 4);
    cache.close();
    await model.close();
    await close();

    const perHead = await run({ keyValues: { ...keyValues, perHead: true }, calibration });
    expect(perHead.readBack).toBeLessThan(1e-6);
    expect(perHead.keyValues).toBe('fp8-e4m3 per head, static');
    const written = await openModelDirectory(perHead.output);
    const ofLayer = await written.checkpoint.read('model.layers.0.self_attn.k_scale');
    expect(ofLayer.shape).toEqual([2, 1, 1]);
    const whole = await source.keyValues!('model.layers.0.self_attn');
    expect(Math.max(...toFloat32(ofLayer))).toBe((whole!.keys.params as { scale: number }).scale);
    await written.close();

    const dynamic: ActivationSpec = { format: int8, scaling: 'dynamic' };
    expect((await run({ keyValues: dynamic, layout: fewbit })).readBack).toBeLessThan(1e-6);
    await fails({ keyValues }, 'usage', /Static scales of keys and values are measured: give calibration text/);
    await fails({ keyValues: dynamic }, 'unsupported', /cannot round keys and values as int8 per token .*one stored scale/);
    const bytes: Layout = { ...compressedTensors, keyValues: undefined as never };
    await fails({ keyValues: dynamic, layout: bytes }, 'unsupported', /its files say nothing of them/);
  });

  const tensorFp8: FormatSpec = { kind: 'float', element: 'e4m3', granularity: { kind: 'tensor' }, scaleType: 'F32' };
  const nvfp4: FormatSpec = { kind: 'float', element: 'e2m1', granularity: { kind: 'group', size: 16 }, scaleType: 'E4M3' };
  it.each<[string, FormatSpec, string, (bound: number) => number]>([
    ['NVFP4', nvfp4, 'weight_global_scale', (bound) => Math.fround((448 * 6) / bound)],
    ['FP8', tensorFp8, 'weight_scale', (bound) => Math.fround(bound / 448)],
  ])('gives matrices that engines run as one a tensor scale of %s that covers them all', async (_, spec, name, scaleOf) => {
    const float = await openModelDirectory(llama);
    const largest = async (member: string) =>
      toFloat32(await float.checkpoint.read(`model.layers.0.${member}.weight`)).reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    for (const method of [rtn(), gptq()]) {
      const { output } = await run({ method, calibration, format: spec });
      const { checkpoint, close } = await openModelDirectory(output);
      const scale = async (member: string) => toFloat32(await checkpoint.read(`model.layers.0.${member}.${name}`))[0];
      for (const members of [
        ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'],
        ['mlp.gate_proj', 'mlp.up_proj'],
      ]) {
        const bounds = await Promise.all(members.map(largest));
        expect(new Set(bounds).size).toBe(members.length);
        for (const member of members) expect(await scale(member)).toBe(scaleOf(Math.max(...bounds)));
      }
      if (method.id === 'rtn') expect(await scale('mlp.down_proj')).toBe(scaleOf(await largest('mlp.down_proj')));
      await close();
    }
    await float.close();
  });

  it.each([
    ['rtn', rtn()],
    ['gptq', gptq()],
  ])('%s twice gives the same bytes', async (_, method) => {
    const [first, second] = [await run({ method, calibration }), await run({ method, calibration })];
    expect(fileHashes(first.output)).toEqual(fileHashes(second.output));
  });

  it('keeps sequences on the host where the backend cannot hold them all', async () => {
    const [held, parked] = [place(), place()];
    await run({ calibration, method: gptq(), output: held });
    // the least that a backend may offer, and one that only gives out copies
    const small: Backend = { ...backend, capacity: 1 };
    delete small.view;
    await run({ calibration, method: gptq(), output: parked, backend: small });
    expect(fileHashes(parked)).toEqual(fileHashes(held));
    expect(backend.bytes).toBe(0);
  });

  it('gptq is no worse than rtn in the output of any layer', async () => {
    const nearest = await run({ calibration });
    const swept = await run({ calibration, method: gptq({ target: 'plain', tokenWeight: 'none' }) });
    for (const [i, { name, outputError }] of swept.layers.entries()) {
      expect(outputError, name).toBeLessThanOrEqual(nearest.layers[i]!.outputError!);
    }
  });

  it('copies what goes along with a model byte for byte, and leaves the rest of it out', async () => {
    const model = place();
    mkdirSync(model);
    copyFileSync(join(llama, 'model.safetensors'), join(model, 'model.safetensors'));
    copyFileSync(join(llama, 'config.json'), join(model, 'config.json'));
    const along = [
      'tokenizer.json',
      'tokenizer_config.json',
      'generation_config.json',
      'special_tokens_map.json',
      'chat_template.jinja',
      'LICENSE',
    ];
    for (const name of along) writeFileSync(join(model, name), Buffer.from([0xef, 0xbb, 0xbf, 0xff, 0, 13, 10, ...Buffer.from(name)]));
    for (const name of ['README.md', 'optimizer.pt', 'training_args.bin']) writeFileSync(join(model, name), 'left');
    const written = files((await run({ model })).output);
    expect(Object.keys(written).sort()).toEqual(['README.md', ...along, 'config.json', 'model.safetensors'].sort());
    for (const name of along) expect(written[name]).toEqual(readFileSync(join(model, name)));
    const { quantization_config, ...config } = JSON.parse(written['config.json']!.toString()) as Record<string, unknown>;
    expect(config).toEqual(goldenModel('llama').config());
    expect(quantization_config).toMatchObject({ quant_method: 'compressed-tensors', format: 'pack-quantized' });
  });

  it('keeps what it does not round as it was', async () => {
    const { output } = await run();
    const [before, after] = await Promise.all([llama, output].map((folder) => openModelDirectory(folder)));
    for (const name of ['model.embed_tokens.weight', 'lm_head.weight', 'model.norm.weight', 'model.layers.0.self_attn.q_proj.bias']) {
      expect(await after!.checkpoint.read(name)).toEqual(await before!.checkpoint.read(name));
    }
    expect(after!.checkpoint.tensors.has('model.layers.0.self_attn.q_proj.weight')).toBe(false);
    await before!.close();
    await after!.close();
  });
});

describe('nothing is left when quantize', () => {
  it('is stopped at any step', async () => {
    for (const method of [rtn(), gptq()]) {
      let steps = 0;
      await run({ method, calibration, onProgress: () => steps++ });
      const stopAt = async (step: number) => {
        const controller = new AbortController();
        let count = 0;
        const onProgress = () => {
          if (count++ === step) controller.abort(new Error('enough'));
        };
        const options = { method, calibration, onProgress, signal: controller.signal };
        await fails(options, 'cancelled', /^Stopped at .*: nothing was written/);
      };
      await fc.assert(fc.asyncProperty(fc.nat(steps - 1), stopAt), { numRuns: 8, seed: 4 });
      for (const verifying of [steps - 2, steps - 1]) await stopAt(verifying); // reading back, hashing
      const already = AbortSignal.abort();
      await fails({ method, calibration, signal: already }, 'cancelled', /^Stopped at embeddings/);
    }
  });

  it('meets NaN or Inf in a weight, which it names', async () => {
    const name = 'model.layers.1.self_attn.k_proj.weight';
    for (const method of [rtn(), gptq()]) {
      for (const value of [Number.NaN, Number.NEGATIVE_INFINITY]) {
        const model = await changed(name, (data) => data.fill(value, 5, 6));
        await fails({ model, method, calibration }, 'numeric', new RegExp(`^${name.replaceAll('.', '\\.')} has ${value} at index 5`));
      }
    }
  });

  it('meets activations that overflow, and names where, with calibration or without', async () => {
    const model = await changed('model.layers.0.mlp.gate_proj.weight', (data) => data.fill(3e38));
    await fails({ model, calibration }, 'numeric', /model\.layers\.0 mlp\.down: The calibration input holds .* at token \d+, feature \d+/);
    await fails({ model }, 'numeric', /rounded model gives logits with NaN or Inf/);
  });

  it('has no calibration for a method that needs it', () =>
    fails({ method: gptq() }, 'usage', /Method gptq measures the layers' inputs: give calibration text \(--calibration FILE\)/));

  it('is asked for rounded inputs that the layout cannot say, or static ones without calibration', async () => {
    const activation = (scaling: ActivationSpec['scaling']): ActivationSpec => ({ format, scaling });
    await fails({ activation: activation('static') }, 'unsupported', /Layout compressed-tensors cannot round inputs as .*one per tensor/);
    const perTensor: FormatSpec = { ...format, granularity: { kind: 'tensor' } };
    await fails({ activation: { format: perTensor, scaling: 'static' } }, 'usage', /Static scales of activations are measured/);
    const { rejectsActivation: _, ...silent } = compressedTensors;
    await fails({ layout: silent, activation: activation('dynamic') }, 'unsupported', /say nothing of inputs/);
  });

  it('is given a method with transforms', () =>
    fails(
      { method: { ...rtn(), id: 'x', transforms: [{ id: 'y', needs: [], plan: () => [] }] } },
      'unsupported',
      /Method x has transforms/,
    ));

  it('is given a quantized model', async () => {
    const { output } = await run();
    await fails({ model: output }, 'unsupported', /quantized already/);
  });

  it('is given a format that the layout cannot hold', () =>
    fails(
      { format: { ...format, granularity: { kind: 'block', rows: 8, cols: 8 } } },
      'unsupported',
      /Layout compressed-tensors cannot hold model\.layers\.0\.self_attn\.q_proj \(and 13 more\): .*2-D blocks/,
    ));

  it('reads back other logits than it had in memory', async () => {
    const wrong: Layout = {
      ...compressedTensors,
      pack: (matrix) => compressedTensors.pack({ ...matrix, codes: matrix.codes.map((code, i) => (i === 7 ? 15 - code : code)) }),
    };
    await fails({ layout: wrong }, 'output', /reads back with logits that differ by .* from the model in memory/);
    const forgetful: Layout = {
      ...compressedTensors,
      pack: (matrix) => new Map([...compressedTensors.pack(matrix)].filter(([name]) => name !== 'weight_scale')),
    };
    await fails({ layout: forgetful }, 'checkpoint', /q_proj: Tensor weight_scale is missing/);
  });

  it('finds its output there already, and leaves that as it is', async () => {
    const output = place();
    mkdirSync(output);
    writeFileSync(join(output, 'mine'), 'kept');
    await expect(run({ output })).rejects.toThrow(fewbitError('output', /out exists already: give another directory/));
    expect(files(output)).toEqual({ mine: Buffer.from('kept') });
  });

  it('has a solver or a listener that throws', async () => {
    const solve = () => {
      throw new Error('on purpose');
    }; // prettier-ignore
    const output = place();
    const method = { ...rtn(), solver: { id: 'x', needs: [], solve } };
    await expect(run({ output, method })).rejects.toThrow('on purpose');
    await expect(run({ output, onProgress: solve })).rejects.toThrow('on purpose');
    expect(existsSync(output)).toBe(false);
    expect(readdirSync(join(output, '..'))).toEqual([]);
    expect(backend.bytes).toBe(0);
  });
});

/** Bytes of all tensors of a model, and of those that hold codes, scales and zero points. */
async function tensorBytes(path: string): Promise<{ all: number; quantized: number }> {
  const { checkpoint, close } = await openModelDirectory(path);
  const entries = [...checkpoint.tensors];
  await close();
  const sum = (some: typeof entries) => some.reduce((total, [, { bytes }]) => total + bytes, 0);
  return { all: sum(entries), quantized: sum(entries.filter(([name]) => /\.weight_/.test(name))) };
}
