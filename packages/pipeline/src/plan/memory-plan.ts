import { dirname, resolve } from 'node:path';
import { gram } from '@fewbit/calibration';
import { freeSpace, type ModelDirectory } from '@fewbit/checkpoint';
import { dtypeBytes, FewbitError } from '@fewbit/core';
import { createFormat, tileGrid } from '@fewbit/formats';
import { type BlockPlan, blockLinears, type LinearPlan, type ModelPlan, type Site } from '@fewbit/models';
import type { QuantizeOptions, WeightFormat, WeightSite } from '../types.js';
import { defaultMaxMemory } from './memory-limit.js';
import { sizeName } from './size-name.js';
import { inputWidth, stateBytes } from './state-sizes.js';
import { sum } from './sum.js';

/** The memory that a run will take, before any work. */
export interface MemoryPlan {
  /** Bytes of the process at the worst moment, as far as they can be foretold. */
  readonly peak: number;
  /** Bytes that it may take. */
  readonly limit: number;
  /** Bytes by part. Not all are there at the same moment: `peak` is the largest sum of those that are. */
  readonly parts: MemoryParts;
  /** The sequences' tensors lie in a file between two stages: its bytes, and the folder. */
  readonly spilled?: { readonly bytes: number; readonly folder: string };
}

export interface MemoryParts {
  /** What the process takes already: program, backend, calibration text. */
  readonly process: number;
  /** What JavaScript has let go of and not collected yet. */
  readonly garbage: number;
  /** Embedding and head. */
  readonly globals: number;
  /** One of those while it is read. */
  readonly loading: number;
  /** Weights of a block, as they were and rounded. */
  readonly block: number;
  /** Tensors of all sequences between two stages; the buffers alone where they are spilled. */
  readonly states: number;
  /** What is measured of the inputs of a site. */
  readonly statistics: number;
  /** The solver's matrices, and the layer's own. */
  readonly solving: number;
  /** One sequence on its way through a stage. */
  readonly running: number;
  /** The check of what was written: embedding, head and a block decoded, logits. */
  readonly verifying: number;
}

const f32 = Float32Array.BYTES_PER_ELEMENT;
const f64 = Float64Array.BYTES_PER_ELEMENT;
/** A tile's parameters: an object of numbers, and the place in a list that names it. */
const paramBytes = 48;
/** V8 begins to collect arrays when 64 MiB were made since the last time; by the end of that as much again may have been. */
const uncollected = 2 * 64 * 2 ** 20;
const plainGram = gram();

/** What a run through `lengths` tokens takes, and whether their states are spilled to fit. Throws `usage` when it cannot fit, `output` when the spilled states do not fit on the disk. */
export async function planMemory(
  plan: ModelPlan,
  checkpoint: ModelDirectory['checkpoint'],
  sites: readonly WeightSite[],
  formats: ReadonlyMap<string, WeightFormat>,
  lengths: readonly number[],
  options: QuantizeOptions,
): Promise<MemoryPlan> {
  const limit = options.maxMemory ?? defaultMaxMemory();
  const streams = options.method.solver.needs.some((statistic) => statistic.needsFloat) ? 2 : 1;
  const longest = Math.max(...lengths);
  const bytes = stateBytes(
    plan,
    lengths.reduce((sum, length) => sum + length, 0),
    streams,
  );
  const parts = { ...partsBut(plan, checkpoint, sites, formats, longest, options), states: bytes };
  const inMemory: MemoryPlan = { peak: peakOf(parts), limit, parts };
  if (inMemory.peak <= limit) return inMemory;
  const states = longest * streams * Math.max(plan.hidden, inputWidth(plan)) * f32;
  const few = { ...parts, states: Math.min(states, bytes) };
  const folder = dirname(resolve(options.output));
  if (peakOf(few) > limit) throw tooLarge({ peak: peakOf(few), limit, parts: few }, longest);
  const free = await freeSpace(folder);
  if (free !== undefined && free < bytes) {
    throw new FewbitError(
      'output',
      `The tensors of ${lengths.length} sequences do not fit in memory (${sizeName(inMemory.peak)} at the peak, the limit is ${sizeName(limit)}), and ${folder} has room for ${sizeName(free)} of their ${sizeName(bytes)}: lower --samples or --length, raise --max-memory, or write elsewhere.`,
    );
  }
  return { peak: peakOf(few), limit, parts: few, spilled: { bytes, folder } };
}

function peakOf({ process, garbage, globals, loading, block, states, statistics, solving, running, verifying }: MemoryParts): number {
  const calibrating = block + statistics + Math.max(solving, running);
  return process + garbage + globals + Math.max(loading, states + Math.max(calibrating, verifying));
}

function tooLarge({ peak, limit, parts }: MemoryPlan, longest: number): FewbitError {
  const named = Object.entries(parts)
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, 3)
    .map(([part, bytes]) => `${part} ${sizeName(bytes)}`);
  return new FewbitError(
    'usage',
    `This run takes ${sizeName(peak)} of memory, with the sequences' tensors on the disk, and may take ${sizeName(limit)} (most of it: ${named.join(', ')}). Lower --length (a sequence has ${longest} tokens), take a method that keeps less (gptq with target plain, rtn), or raise --max-memory.`,
  );
}

/** All but the sequences. */
function partsBut(
  plan: ModelPlan,
  checkpoint: ModelDirectory['checkpoint'],
  sites: readonly WeightSite[],
  formats: ReadonlyMap<string, WeightFormat>,
  longest: number,
  { method, calibration, backend }: QuantizeOptions,
): Omit<MemoryParts, 'states'> {
  const storedBytes = (module: string) => {
    const dtype = checkpoint.tensors.get(`${module}.weight`)?.dtype;
    return dtype === undefined ? f32 : dtypeBytes[dtype];
  };
  const isShort = (module: string) => checkpoint.tensors.get(`${module}.weight`)?.dtype === 'BF16' && backend.weights?.uploadStored;
  const heldBytes = (module: string) => (isShort(module) ? dtypeBytes.BF16 : f32);
  const tables = sites.filter(({ role }) => role !== 'linear');
  const size = ({ rows, cols }: { rows: number; cols: number }) => rows * cols;
  const most = <T>(of: readonly T[], value: (one: T) => number) => Math.max(0, ...of.map(value));
  const needs = calibration ? [...method.solver.needs, plainGram] : [];
  const statistics = [...new Map(needs.map((statistic) => [statistic.id, statistic])).values()];
  const solving = ({ linears }: Site) => {
    const rows = most(linears, (linear) => linear.rows);
    const { cols } = linears[0]!;
    const forSolver = method.solver.scratch?.(rows, cols) ?? 0;
    const bound = sum(linears, (linear) => (isBound(formats.get(linear.module)) ? size(linear) * f32 : 0));
    const own = most(linears, (linear) => layerBytes(linear, formats.get(linear.module), storedBytes(linear.module)));
    return Math.max(forSolver, calibration ? cols ** 2 * f64 : 0) + bound + own;
  };
  const loading = most(tables, (table) => size(table) * (storedBytes(table.module) + f32));
  const largestBlock = most(plan.blocks, (block) => sum(blockLinears(block), size));
  const running = longest * most(plan.blocks, valuesOfToken) * f32;
  const logits = 3 * longest * plan.vocabulary * f32; // of the model in memory, of the files, and in the backend
  return {
    process: process.memoryUsage.rss(),
    garbage: uncollected,
    globals: sum(tables, (table) => size(table) * (heldBytes(table.module) + (formats.has(table.module) ? f32 : 0))),
    loading,
    block: most(plan.blocks, (block) => sum(blockLinears(block), (linear) => size(linear) * (heldBytes(linear.module) + f32))),
    statistics: most(
      plan.blocks.flatMap((block) => block.sites),
      ({ linears }) => sum(statistics, (statistic) => statistic.bytes?.(linears[0]!.cols) ?? 0),
    ),
    solving: most(
      plan.blocks.flatMap((block) => block.sites),
      solving,
    ),
    running,
    verifying: sum(tables, size) * f32 + Math.max(loading, largestBlock * f32 + running + logits),
  };
}

function isBound(format: WeightFormat | undefined): boolean {
  return format !== undefined && typeof format !== 'string' && createFormat(format).bind !== undefined;
}

/** A layer while it is rounded: as it is stored, in float32 before and after, what is between; codes, once more as they are packed, and their parameters. */
function layerBytes({ rows, cols }: LinearPlan, format: WeightFormat | undefined, stored: number): number {
  if (format === undefined || typeof format === 'string') return rows * cols * (stored + 3 * f32);
  const { count } = tileGrid(createFormat(format), rows, cols);
  return rows * cols * (stored + 3 * f32 + 2) + count * paramBytes;
}

/** Values that the widest stage of a block makes of a token: with attention, those of the projections once more as they are turned; with the MLP, up, gate and their product. */
function valuesOfToken(block: BlockPlan): number {
  const [attentionInput, attentionOutput, mlpInput, mlpDown] = block.sites.map(({ linears }) => ({
    input: linears[0]!.cols,
    outputs: sum(linears, ({ rows }) => rows),
  }));
  const attending = 2 * attentionInput!.outputs + attentionOutput!.input;
  const expanding = mlpInput!.outputs + mlpDown!.input;
  return 2 * attentionInput!.input + Math.max(attending, expanding) + Math.max(attentionInput!.input, mlpDown!.input);
}
