import { mkdtempSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { compressedTensors, type FormatSpec, fewbit, type IntSpec } from '@fewbit/formats';
import { gptq } from '@fewbit/gptq';
import { type Backend, referenceBackend } from '@fewbit/kernels';
import { planModel } from '@fewbit/models';
import { rtn } from '@fewbit/rtn';
import { fewbitError, fileHashes, goldenModel, temporaryFolder } from '@fewbit/testkit';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { checkQuantize, measureImportance, type QuantizeOptions, quantize } from './index.js';
import { openSpill } from './spill.js';

const root = temporaryFolder();
const place = () => join(mkdtempSync(join(root, 'case-')), 'out');
const format: IntSpec = { kind: 'int', bits: 4, scheme: 'asymmetric', granularity: { kind: 'group', size: 16 }, scaleType: 'F32' };
const windows = Array.from({ length: 6 }, (_, w) => Uint32Array.from({ length: 20 }, (_, i) => (w * 31 + i * i * 7 + 3) % 64));
const calibration = { source: 'numbers', fingerprint: 'x', windows };
const model = goldenModel('llama').folder;

// what a plan starts from, which else comes and goes
const taken = 100e6;
vi.spyOn(process.memoryUsage, 'rss').mockReturnValue(taken);

let backend: Backend;
beforeEach(() => {
  backend = referenceBackend();
});
const job = (options: Partial<QuantizeOptions>): QuantizeOptions => ({
  ...{ model, output: place(), method: rtn(), format, layout: compressedTensors, backend, calibration },
  ...options,
});
/** A limit that only fits without the sequences. */
async function tight(options: QuantizeOptions): Promise<number> {
  return (await checkQuantize({ ...options, maxMemory: 1e12 })).memory.peak - 1;
}

describe('sequences spilled to a file', () => {
  const int8: IntSpec = { kind: 'int', bits: 8, scheme: 'symmetric-full', granularity: { kind: 'channel' }, scaleType: 'F32' };
  const fp8: FormatSpec = { kind: 'float', element: 'e4m3', granularity: { kind: 'tensor' }, scaleType: 'F32' };
  const stored = { format: { ...int8, granularity: { kind: 'tensor' } } as IntSpec, scaling: 'static' } as const;
  it.each<[string, Partial<QuantizeOptions>]>([
    ['rtn', {}],
    ['rtn, weighed', { method: rtn({ clip: 'hessian' }) }],
    ['gptq with the float stream', { method: gptq() }],
    ['gptq with one stream', { method: gptq({ target: 'plain', tokenWeight: 'equal' }) }],
    ['static scales of inputs', { format: int8, activation: stored, method: gptq() }],
    ['static scales of keys and values', { keyValues: { format: fp8, scaling: 'static' } }],
    ['per token', { keyValues: { format: int8, scaling: 'dynamic' }, layout: fewbit }],
  ])('give the same bytes and errors: %s', async (_, options) => {
    const inMemory = await quantize(job(options));
    expect(inMemory.planned.memory.spilled).toBeUndefined();
    const another = job(options);
    const spilled = await quantize({ ...another, maxMemory: await tight(another) });
    const { bytes, folder } = spilled.planned.memory.spilled!;
    expect(folder).toBe(join(another.output, '..'));
    expect(bytes).toBe(inMemory.planned.memory.parts.states);
    expect(spilled.planned.memory.parts.states).toBeLessThan(bytes / 2);
    expect(fileHashes(spilled.output)).toEqual(fileHashes(inMemory.output));
    expect(spilled.layers).toEqual(inMemory.layers);
    expect(readdirSync(folder)).toEqual(['out']);
    expect(backend.bytes).toBe(0);
  });

  it('give the same importance', async () => {
    const spill = place();
    const measured = await measureImportance({ model, calibration, backend, spill });
    expect(measured).toEqual(await measureImportance({ model, calibration, backend }));
    expect(readdirSync(join(spill, '..'))).toEqual([]);
    expect(backend.bytes).toBe(0);
  });

  it('leave nothing when the run fails, or is aborted at any stage', async () => {
    const solve = () => {
      throw new Error('on purpose');
    };
    const failing = job({ method: { ...rtn(), solver: { id: 'x', needs: [], solve } } });
    await expect(quantize({ ...failing, maxMemory: await tight(failing) })).rejects.toThrow('on purpose');
    expect(readdirSync(join(failing.output, '..'))).toEqual([]);
    for (const stop of ['attention.input', 'mlp.down', 'output', 'logits']) {
      const aborted = job({ method: gptq() });
      const controller = new AbortController();
      const onProgress = ({ at }: { at: string }) => at.includes(stop) && controller.abort();
      await expect(quantize({ ...aborted, maxMemory: await tight(aborted), onProgress, signal: controller.signal })).rejects.toThrow(
        fewbitError('cancelled', /nothing was written/),
      );
      expect(readdirSync(join(aborted.output, '..'))).toEqual([]);
    }
    expect(backend.bytes).toBe(0);
  });

  it('go through one buffer, place by place', async () => {
    const spill = await openSpill(place(), backend);
    const placeOf = spill.places(12);
    const places = [placeOf(12), placeOf(4), placeOf(12)];
    const rows = [3, 1, 2];
    for (const [i, one] of places.entries()) await one.put(backend.upload(new Float32Array(rows[i]! * 4).fill(i + 1), [rows[i]!, 4]));
    for (const [i, one] of [...places.entries()].toReversed()) {
      expect(await one.read()).toEqual({ rows: rows[i], cols: 4, data: new Float32Array(rows[i]! * 4).fill(i + 1) });
      const lent = await one.lend(async (tensor) => ({ shape: tensor!.shape, data: await backend.download(tensor!) }));
      expect(lent).toEqual({ shape: [rows[i], 4], data: new Float32Array(rows[i]! * 4).fill(i + 1) });
    }
    places[1]!.clear();
    expect(await places[1]!.lend(async (tensor) => tensor)).toBeUndefined();
    await spill.close();
    await expect(places[0]!.put(backend.upload(new Float32Array(4), [1, 4]))).rejects.toThrow(fewbitError('output', /cannot be written/));
    expect(backend.bytes).toBe(0);
  });
});

describe('the memory of a run', () => {
  const planned = async (options: Partial<QuantizeOptions>) => (await checkQuantize(job({ maxMemory: 1e12, ...options }))).memory;

  it('is counted by part', async () => {
    const plan = planModel(goldenModel('llama').config());
    const inner = plan.blocks[0]!.mlp.down.cols;
    const widest = Math.max(plan.hidden, inner);
    const [one, two] = [await planned({ method: gptq({ target: 'plain' }) }), await planned({ method: gptq() })];
    expect(one.parts.process).toBe(taken);
    expect(one.parts.states).toBe(120 * (plan.hidden + widest) * 4);
    expect(two.parts.states).toBe(2 * one.parts.states);
    // the sum and the mean of the gram, and of the cross gram
    expect(one.parts.statistics).toBe(2 * widest ** 2 * 8);
    expect(two.parts.statistics).toBe(2 * one.parts.statistics);
    expect(two.parts.solving).toBe(one.parts.solving + 3 * widest ** 2 * 8);
    const weights = plan.blocks[0]!.sites.flatMap(({ linears }) => linears).reduce((sum, { rows, cols }) => sum + rows * cols, 0);
    expect(one.parts.block).toBe(weights * 8); // in float32, as they were and rounded
    const { garbage, globals, loading, block, states, statistics, solving, running, verifying } = two.parts;
    const calibrating = block + statistics + Math.max(solving, running);
    expect(two.peak).toBe(taken + garbage + globals + Math.max(loading, states + Math.max(calibrating, verifying)));
    // the table of 64 tokens read as float32 and made one; decoded once more for the check, beside logits
    expect(loading).toBe(64 * plan.hidden * 8);
    expect(verifying).toBeGreaterThan(3 * 20 * 64 * 4);
  });

  it('grows with the sequences, or where they are spilled only with the longest', async () => {
    const many = { ...calibration, windows: [...windows, ...windows] };
    const [few, twice] = [await planned({}), await planned({ calibration: many })];
    expect(twice.peak - few.peak).toBe(few.parts.states);
    const spilled = await Promise.all([calibration, many].map((set) => planned({ calibration: set, maxMemory: few.peak - 1 })));
    expect(spilled[0]!.peak).toBe(spilled[1]!.peak);
    expect(spilled[1]!.spilled!.bytes).toBe(2 * spilled[0]!.spilled!.bytes);
  });

  it('is refused before any work where it cannot fit', async () => {
    const options = job({ maxMemory: taken });
    const message =
      /This run takes 23\d MB of memory, with the sequences' tensors on the disk, and may take 100 MB \(most of it: garbage 134 MB, process 100 MB, .*\)\. Lower --length \(a sequence has 20 tokens\), .* or raise --max-memory/;
    await expect(checkQuantize(options)).rejects.toThrow(fewbitError('usage', message));
    await expect(quantize(options)).rejects.toThrow(fewbitError('usage', message));
    expect(readdirSync(join(options.output, '..'))).toEqual([]);
  });

  it('is by default what the process takes and 80 % of what is available', async () => {
    const { memory } = await checkQuantize(job({}));
    expect(memory.limit).toBeGreaterThan(taken);
    const spy = vi.spyOn(process, 'constrainedMemory').mockReturnValue(taken + 1e9);
    expect((await checkQuantize(job({}))).memory.limit).toBeLessThanOrEqual(taken + 0.8e9);
    spy.mockRestore();
  });
});
