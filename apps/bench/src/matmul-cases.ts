import { atOnce } from '@fewbit/core';
import type { FormatSpec } from '@fewbit/formats';
import type { ActivationPrecision, Backend, DeviceTensor } from '@fewbit/kernels';
import { blockLinears, type LinearPlan, type ModelPlan } from '@fewbit/models';
import { type BlockWeights, freeBlock, type LoadedWeight, loadBlock, type WeightSource } from '@fewbit/runtime';
import { keepOutliers } from './keep-outliers.js';
import { type KernelCase, upload } from './kernel-cases.js';
import { syntheticWeights } from './synthetic-weights.js';

/** A product with one linear layer's weights. */
export interface MatmulCase extends KernelCase {
  readonly m: number;
  readonly linear: LinearPlan;
  readonly activations: ActivationPrecision | 'f32';
  /** Different weights that one run goes through, so that they come from memory and not from a cache. */
  readonly copies: number;
}

/** How weights are held, and the share of them that is kept beside the codes. */
export interface HeldIn {
  readonly spec: FormatSpec;
  readonly outliers: number;
}

/** The weights of a block in one format, as the runtime loads them, several times. */
export interface LoadedWeights {
  /** Whether the backend holds codes; else it decoded them to float32. */
  readonly kept: boolean;
  /** Over one token, and over `m`. */
  readonly cases: readonly (() => MatmulCase)[];
  free(): void;
}

/**
 * Loads block 0 of `plan` in `held` (undefined: float32) as often as it takes to fill `bytes`, and makes a product of each shape of its
 * linears: with one token as bytes of weights read, with `m` tokens as operations.
 */
export async function loadMatmuls(
  backend: Backend,
  plan: ModelPlan,
  held: HeldIn | undefined,
  { m, bytes, activations }: { m: number; bytes: number; activations: MatmulCase['activations'] },
): Promise<LoadedWeights> {
  const block = plan.blocks[0]!;
  const elements = blockLinears(block).reduce((sum, { rows, cols }) => sum + rows * cols, 0);
  const source = held ? heldWeights(plan, held) : floatWeights(plan);
  const blocks: BlockWeights[] = [];
  const before = backend.bytes;
  let loaded: LoadedWeight | undefined;
  const onLoaded = (_: string, weight: LoadedWeight) => {
    loaded = weight;
  };
  do blocks.push(await loadBlock(source, block, backend, { activations, onLoaded }));
  while (backend.bytes - before < bytes);
  const bytesPerWeight = (backend.bytes - before) / blocks.length / elements;
  const shapes = new Map(blockLinears(block).map((linear) => [`${linear.rows}×${linear.cols}`, linear]));
  return {
    kept: loaded?.decoded === undefined,
    cases: [...shapes.values()].flatMap((linear) => [
      () => matmulCase(backend, blocks, linear, 1, bytesPerWeight, loaded!.activations),
      () => matmulCase(backend, blocks.slice(0, 1), linear, m, bytesPerWeight, loaded!.activations),
    ]),
    free() {
      for (const weights of blocks) freeBlock(weights, backend);
    },
  };
}

function matmulCase(
  backend: Backend,
  blocks: readonly BlockWeights[],
  linear: LinearPlan,
  m: number,
  bytesPerWeight: number,
  activations: MatmulCase['activations'],
): MatmulCase {
  const { module, rows, cols } = linear;
  const copies = blocks.length;
  const weights = blocks.map((block): DeviceTensor => block.get(`${module}.weight`)!);
  const x = upload(backend, [m, cols], 1);
  return {
    ...{ op: 'matmul', m, linear, activations, copies, shape: `${m}×${cols} ${rows}×${cols}` },
    ...(m === 1 ? { unit: 'GB/s', work: copies * bytesPerWeight * rows * cols } : { unit: 'GFLOP/s', work: copies * 2 * m * rows * cols }),
    run() {
      for (const weight of weights) backend.step(() => void backend.ops.matmul(x, weight));
    },
    free: () => backend.free(x),
  };
}

function heldWeights(plan: ModelPlan, { spec, outliers }: HeldIn): WeightSource {
  const source = syntheticWeights(plan, spec, spec, 1);
  if (outliers === 0) return source;
  const quantized = async (module: string) => {
    const codes = await source.quantized(module);
    return codes && keepOutliers(codes, outliers, 1);
  };
  return { ...source, quantized };
}

function floatWeights(plan: ModelPlan): WeightSource {
  const spec = { kind: 'int', bits: 8, scheme: 'symmetric-full', granularity: { kind: 'channel' }, scaleType: 'F32' } as const;
  return { ...syntheticWeights(plan, spec, spec, 1), quantized: async () => undefined };
}

/** Codes of the widest linear, one byte each, laid out as the backend's kernels read them: what loading does beside reading. */
export async function uploadCase(backend: Backend, plan: ModelPlan, held: HeldIn): Promise<KernelCase | undefined> {
  const { module, rows, cols } = plan.blocks[0]!.mlp.down;
  const codes = (await heldWeights(plan, held).quantized(module))!;
  const { weights } = backend;
  if (!weights || weights.rejects(codes) !== undefined) return undefined;
  const before = backend.bytes;
  const uploaded = atOnce(weights.upload(codes));
  const packed = backend.bytes - before;
  backend.free(uploaded);
  return {
    ...{ op: 'upload', shape: `${rows}×${cols}`, unit: 'GB/s', work: rows * cols + packed },
    run: () => backend.free(atOnce(weights.upload(codes))),
    free: () => undefined,
  };
}
