import { type ModelDirectory, openModelDirectory } from '@fewbit/checkpoint';
import { type ActivationRounding, type FormatSpec, type KeyValueRounding, roundActivations } from '@fewbit/formats';
import { type DeviceTensor, referenceBackend } from '@fewbit/kernels';
import { blockLinears } from '@fewbit/models';
import { goldenModel } from '@fewbit/testkit';
import { afterEach, describe, expect, it } from 'vitest';
import {
  blockStages,
  createCache,
  keysAndValues,
  loadActivations,
  loadBlock,
  openModel,
  openWeights,
  overlay,
  type WeightSource,
} from './index.js';

const format: FormatSpec = { kind: 'int', bits: 8, scheme: 'symmetric-full', granularity: { kind: 'channel' }, scaleType: 'F32' };
const rounding: ActivationRounding = { spec: { format, scaling: 'dynamic' } };

const directories: ModelDirectory[] = [];
afterEach(async () => {
  for (const directory of directories.splice(0)) await directory.close();
});

/** A golden model whose linears round their inputs where `which` says so. */
async function rounded(which: (module: string) => boolean): Promise<WeightSource> {
  const directory = await openModelDirectory(goldenModel('llama').folder);
  directories.push(directory);
  const source = await openWeights(directory);
  return { ...source, activation: async (module) => (which(module) ? { spec: { ...rounding.spec } } : undefined) };
}

describe('rounded inputs', () => {
  it('are what each linear takes, and only where they are asked for', async () => {
    const backend = referenceBackend();
    const tokens = goldenModel('llama').expected().tokens;
    const logits = async (source: WeightSource) => {
      const model = await openModel(source, backend);
      const { data } = await model.logits(Uint32Array.from(tokens));
      await model.close();
      return data;
    };
    const float = await logits(await rounded(() => false));
    const down = await logits(await rounded((module) => module.endsWith('down_proj')));
    const all = await logits(await rounded(() => true));
    expect(down).not.toEqual(float);
    expect(all).not.toEqual(down);
    expect(await logits(overlay(await rounded(() => true), new Map()))).toEqual(all);
    const difference = Math.sqrt(all.reduce((sum, x, i) => sum + (x - float[i]!) ** 2, 0) / float.reduce((sum, x) => sum + x * x, 0));
    expect(difference).toBeGreaterThan(1e-4);
    expect(difference).toBeLessThan(0.05);
  });

  it('are rounded once for the linears of one input', async () => {
    const backend = referenceBackend();
    let calls = 0;
    const counting = {
      ...backend,
      ops: {
        ...backend.ops,
        roundActivations(...[x, how]: Parameters<typeof backend.ops.roundActivations>) {
          calls++;
          return backend.ops.roundActivations(x, how);
        },
      },
    };
    const source = await rounded(() => true);
    const block = source.plan.blocks[0]!;
    const weights = await loadBlock(source, block, backend);
    const activations = await loadActivations(source, block);
    expect(activations.size).toBe(blockLinears(block).length);
    const residual = backend.upload(
      Float32Array.from({ length: 2 * source.plan.hidden }, (_, i) => Math.sin(i)),
      [2, source.plan.hidden],
    );
    backend.step(() => {
      const context = { backend: counting, weights, activations, sequences: [{ rows: 2, start: 0 }] };
      return blockStages(block).reduce<{ residual: typeof residual; input?: typeof residual }>(
        (state, stage) => stage.run(state, context),
        {
          residual,
        },
      ).residual;
    });
    expect(calls).toBe(4); // attention input and output, MLP input and down
  });

  it('equal the product of the rounded matrix', async () => {
    const backend = referenceBackend();
    const x = { rows: 3, cols: 8, data: Float32Array.from({ length: 24 }, (_, i) => Math.cos(i)) };
    const w = backend.upload(
      Float32Array.from({ length: 40 }, (_, i) => Math.sin(i)),
      [5, 8],
    );
    const direct = backend.ops.matmul(backend.ops.roundActivations(backend.upload(x.data, [3, 8]), rounding), w);
    const plain = backend.ops.matmul(backend.upload(roundActivations(x, rounding).data, [3, 8]), w);
    expect(await backend.download(direct)).toEqual(await backend.download(plain));
  });
});

describe('rounded keys and values', () => {
  const both: KeyValueRounding = { keys: rounding, values: rounding };
  const source = async (): Promise<WeightSource> => ({ ...(await rounded(() => false)), keyValues: async () => both });

  it('are what attention sees, the same with a cache and without', async () => {
    const backend = referenceBackend();
    const tokens = Uint32Array.from(goldenModel('llama').expected().tokens);
    const float = await openModel(await rounded(() => false), backend);
    const model = await openModel(await source(), backend);
    const whole = await model.logits(tokens);
    expect(whole.data).not.toEqual((await float.logits(tokens)).data);
    const cache = createCache(model, { pageTokens: 3 });
    const parts = [await model.logits(tokens.subarray(0, 4), { cache })];
    for (const token of tokens.subarray(4)) parts.push(await model.logits(Uint32Array.of(token), { cache }));
    expect(parts.flatMap(({ data }) => [...data])).toEqual([...whole.data]);
    cache.close();
    await model.close();
    await float.close();
  });

  it('are rounded after the heads are turned', async () => {
    const backend = referenceBackend();
    const { plan } = await source();
    const block = plan.blocks[0]!;
    const weights = await loadBlock(await source(), block, backend);
    const input = backend.upload(
      Float32Array.from({ length: 5 * plan.hidden }, (_, i) => Math.sin(i)),
      [5, plan.hidden],
    );
    const context = { backend, weights, sequences: [{ rows: 5, start: 0 }] };
    const { keys, values } = keysAndValues(block, input, context);
    const seen: DeviceTensor[] = [];
    const watching = {
      ...backend,
      ops: {
        ...backend.ops,
        attention(...[q, k, v, options]: Parameters<typeof backend.ops.attention>) {
          seen.push(k[0]!, v[0]!);
          return backend.ops.attention(q, k, v, options);
        },
      },
    };
    blockStages(block)[1]!.run({ residual: input, input }, { ...context, backend: watching, keyValues: both });
    for (const [i, tensor] of [keys, values].entries())
      expect(await backend.download(seen[i]!)).toEqual(await backend.download(backend.ops.roundActivations(tensor, rounding)));
  });
});
