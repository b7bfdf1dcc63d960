import { setImmediate as nextTick } from 'node:timers/promises';
import { FewbitError, firstNonFinite, type Matrix, matrix } from '@fewbit/core';
import type { Backend, DeviceTensor } from '@fewbit/kernels';
import type { ModelPlan } from '@fewbit/models';
import { blockStages } from './block-stages.js';
import { embedTokens, freeGlobals, type Globals, headLogits, loadGlobals } from './globals.js';
import type { KeyValueCache } from './key-value-cache.js';
import { freeBlock, loadActivations, loadBlock } from './load-block.js';
import type { WeightOptions } from './load-linear.js';
import type { BlockActivations, BlockWeights, Stage, StageState, WeightSource } from './types.js';

export interface LogitsOptions {
  /** Earlier tokens of the sequence; the new ones join it. Without it `tokens` are a whole sequence. */
  readonly cache?: KeyValueCache;
  /** Only the logits after the last token. Default false. */
  readonly lastOnly?: boolean;
}

/** A model whose weights are in a backend's memory. Every method throws `usage` for tokens that it cannot take and `numeric` for NaN or Inf. */
export interface Model {
  readonly plan: ModelPlan;
  readonly backend: Backend;
  /** Quantized weights that are held as float32, each with the reason. */
  readonly decoded: ReadonlyMap<string, string>;
  /** Logits after each token, [tokens, vocabulary], or after the last one, [1, vocabulary]. */
  logits(tokens: Uint32Array, options?: LogitsOptions): Promise<Matrix>;
  /** −log p(tokens[i + 1] | tokens[0 … i]) in nats for i = first … tokens.length − 2. */
  score(tokens: Uint32Array, first?: number): Promise<Float32Array>;
  /** Logits after tokens `first` …, a few rows at a time: a window's logits are never whole in memory. */
  logitChunks(tokens: Uint32Array, first?: number): AsyncGenerator<Matrix, void, undefined>;
  close(): Promise<void>;
}

/** Tokens of one step of a prefill into a cache: enough for the matrix kernels, and short enough to stay responsive. */
const prefillChunk = 256;
/** Values of logits in memory at a time, beyond one row. */
const logitsAtOnce = 1 << 22;

/** Loads all weights of `source` into `backend`, where they stay until `close`. The source may be closed afterwards. */
export async function openModel(
  source: WeightSource,
  backend: Backend,
  { decode = false }: Pick<WeightOptions, 'decode'> = {},
): Promise<Model> {
  const { plan } = source;
  const decoded = new Map<string, string>();
  const options: WeightOptions = { decode, onDecoded: (module, reason) => decoded.set(module, reason) };
  const globals = await loadGlobals(source, backend, options);
  const blocks: LoadedBlock[] = [];
  const close = async () => {
    for (const { weights } of blocks) freeBlock(weights, backend);
    freeGlobals(globals, backend);
  };
  try {
    for (const block of plan.blocks) {
      const activations = await loadActivations(source, block);
      blocks.push({ weights: await loadBlock(source, block, backend, options), activations, stages: blockStages(block) });
    }
  } catch (error) {
    await close();
    throw error;
  }
  const pass: Pass = { plan, backend, globals, blocks };
  return {
    plan,
    backend,
    decoded,
    logits: (tokens, options = {}) => logits(pass, tokens, options),
    score: (tokens, first = 0) => score(pass, tokens, first),
    logitChunks: (tokens, first = 0) => logitChunks(pass, tokens, first),
    close,
  };
}

interface LoadedBlock {
  readonly weights: BlockWeights;
  readonly activations: BlockActivations;
  readonly stages: readonly Stage[];
}

interface Pass {
  readonly plan: ModelPlan;
  readonly backend: Backend;
  readonly globals: Globals;
  readonly blocks: readonly LoadedBlock[];
}

async function logits(pass: Pass, tokens: Uint32Array, { cache, lastOnly = false }: LogitsOptions): Promise<Matrix> {
  const { plan, backend, globals } = pass;
  const step = cache ? prefillChunk : Math.max(1, tokens.length);
  cache?.reserve(tokens.length);
  const parts: Float32Array[] = [];
  for (let at = 0; at < Math.max(1, tokens.length); at += step) {
    const chunk = tokens.subarray(at, at + step);
    const start = cache?.length ?? 0;
    const hidden = await hiddenStates(pass, chunk, start, cache);
    try {
      const last = at + step >= tokens.length;
      if (lastOnly && !last) {
        cache?.advance(chunk.length);
        continue;
      }
      const from = lastOnly ? chunk.length - 1 : 0;
      const rows = await fetch(backend, () => headLogits(plan, globals, backend, backend.ops.rows(hidden, from, chunk.length - from)));
      await checkFinite(rows, pass, chunk, start, cache);
      cache?.advance(chunk.length);
      parts.push(rows);
    } finally {
      backend.free(hidden);
    }
  }
  return matrix(lastOnly ? 1 : tokens.length, plan.vocabulary, joined(parts));
}

async function score(pass: Pass, tokens: Uint32Array, first: number): Promise<Float32Array> {
  const { plan, backend, globals } = pass;
  const inputs = tokens.subarray(0, -1);
  checkFirst(first, inputs);
  const hidden = await hiddenStates(pass, inputs, 0);
  try {
    const losses: Float32Array[] = [];
    for (const { from, count } of rowChunks(first, inputs.length, plan.vocabulary)) {
      const targets = tokens.subarray(from + 1, from + 1 + count);
      const loss = await fetch(backend, () =>
        backend.ops.crossEntropy(headLogits(plan, globals, backend, backend.ops.rows(hidden, from, count)), targets),
      );
      await checkFinite(loss, pass, inputs, 0);
      losses.push(loss);
      if (!backend.deferred) await nextTick();
    }
    return joined(losses);
  } finally {
    backend.free(hidden);
  }
}

async function* logitChunks(pass: Pass, tokens: Uint32Array, first: number): AsyncGenerator<Matrix, void, undefined> {
  const { plan, backend, globals } = pass;
  checkFirst(first, tokens);
  const hidden = await hiddenStates(pass, tokens, 0);
  try {
    for (const { from, count } of rowChunks(first, tokens.length, plan.vocabulary)) {
      const rows = await fetch(backend, () => headLogits(plan, globals, backend, backend.ops.rows(hidden, from, count)));
      await checkFinite(rows, pass, tokens, 0);
      yield matrix(count, plan.vocabulary, rows);
    }
  } finally {
    backend.free(hidden);
  }
}

/** Outputs of the last block, [m, hidden]; the caller frees them. Other work of the process runs between blocks. */
async function hiddenStates(pass: Pass, tokens: Uint32Array, start: number, cache?: KeyValueCache): Promise<DeviceTensor> {
  const { plan, backend, globals, blocks } = pass;
  let hidden = backend.step(() => embedTokens(plan, globals, backend, tokens, start));
  for (const index of blocks.keys()) {
    const input = hidden;
    hidden = runBlock(pass, index, input, start, cache);
    backend.free(input);
    if (!backend.deferred) await nextTick();
  }
  return hidden;
}

function runBlock({ backend, blocks }: Pass, index: number, residual: DeviceTensor, start: number, cache?: KeyValueCache): DeviceTensor {
  const { weights, activations, stages } = blocks[index]!;
  const blockCache = cache?.blocks[index];
  const context = { backend, weights, activations, start, ...(blockCache && { cache: blockCache }) };
  return backend.step(() => stages.reduce<StageState>((state, stage) => stage.run(state, context), { residual }).residual);
}

async function fetch(backend: Backend, body: () => DeviceTensor): Promise<Float32Array> {
  const tensor = backend.step(body);
  try {
    return await backend.download(tensor);
  } finally {
    backend.free(tensor);
  }
}

/** Throws `numeric` when values of a pass over `tokens` are not finite, after running it again to find the first place. */
async function checkFinite(values: Float32Array, pass: Pass, tokens: Uint32Array, start: number, cache?: KeyValueCache): Promise<void> {
  if (firstNonFinite(values) < 0) return;
  const { plan, backend, globals } = pass;
  let hidden = backend.step(() => embedTokens(plan, globals, backend, tokens, start));
  try {
    for (const [index, { prefix }] of plan.blocks.entries()) {
      const input = hidden;
      hidden = runBlock(pass, index, input, start, cache);
      backend.free(input);
      const at = firstNonFinite(await backend.download(hidden));
      if (at >= 0) throw nonFinite(`The output of block ${prefix} has NaN or Inf at token ${start + Math.floor(at / plan.hidden)}`);
    }
    throw nonFinite('The logits have NaN or Inf, but no block before them');
  } finally {
    backend.free(hidden);
  }
}

function nonFinite(what: string): FewbitError {
  return new FewbitError('numeric', `${what}: the weights are damaged, or too large for float32. Compare the files with their source.`);
}

function checkFirst(first: number, inputs: Uint32Array): void {
  if (Number.isSafeInteger(first) && first >= 0 && first < Math.max(1, inputs.length)) return;
  throw new FewbitError('usage', `The first scored place ${first} is not among the ${inputs.length} inputs.`);
}

function rowChunks(first: number, end: number, vocabulary: number): { from: number; count: number }[] {
  const size = Math.max(1, Math.floor(logitsAtOnce / vocabulary));
  return Array.from({ length: Math.ceil((end - first) / size) }, (_, i) => {
    const from = first + i * size;
    return { from, count: Math.min(size, end - from) };
  });
}

function joined(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
