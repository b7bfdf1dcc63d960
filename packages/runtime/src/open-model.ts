import { FewbitError, type Matrix, matrix } from '@fewbit/core';
import { activationName, type KeyValueRounding } from '@fewbit/formats';
import type { ActivationPrecision, Backend } from '@fewbit/kernels';
import { attentionModule, type ModelPlan } from '@fewbit/models';
import { batch, checkSequences, type DrawnSequence, drawTokens, prefill, prefillChunk, type SequenceTokens } from './batch.js';
import { blockStages } from './block-stages.js';
import { checkSignal } from './check-signal.js';
import { checkFinite, fetch, fetchLogits, hiddenStates, type LoadedBlock, type LoadedModel } from './forward-pass.js';
import { freeGlobals, headLogits, loadGlobals } from './globals.js';
import { type BlockForms, cacheForms, type KeyValueCache } from './key-value-cache.js';
import { freeBlock, loadActivations, loadBlock } from './load-block.js';
import type { LoadedWeight, WeightOptions } from './load-linear.js';
import { giveTurn } from './next-turn.js';
import { type TokenSteps, tokenSteps } from './token-steps.js';
import type { WeightSource } from './types.js';

export interface LogitsOptions {
  /** Earlier tokens of the sequence; the new ones join it. Without it `tokens` are a whole sequence. */
  readonly cache?: KeyValueCache;
  /** Only the logits after the last token. Default false. */
  readonly lastOnly?: boolean;
  /** Stops between the chunks of a long prefill, with the error `cancelled`; the cache then holds the chunks that were run. */
  readonly signal?: AbortSignal;
}

/** A model whose weights are in a backend's memory. Every method throws `usage` for tokens that it cannot take and `numeric` for NaN or Inf. */
export interface Model {
  readonly plan: ModelPlan;
  readonly backend: Backend;
  /** How the backend holds the linears, the embedding and the head, by module. */
  readonly weights: ReadonlyMap<string, LoadedWeight>;
  /** What products with codes round their inputs to; 'f32' where all take them as they come. */
  readonly activations: ActivationPrecision | 'f32';
  /** How caches of the model hold keys and values, by block (`createCache`). */
  readonly cacheForms: readonly BlockForms[];
  /** The same in a word, of the first block: 'f32', 'f16', or the name of a rounding whose codes are kept. */
  readonly keyValues: string;
  /** Logits after each token, [tokens, vocabulary], or after the last one, [1, vocabulary]. */
  logits(tokens: Uint32Array, options?: LogitsOptions): Promise<Matrix>;
  /**
   * One pass over several sequences, each at its own position: linear layers see the rows of all at once, attention those of each alone. Returns the
   * logits after each sequence's last token, [sequences, vocabulary]: those of the sequence by itself up to float32 rounding, as kernels add up in
   * another order for another number of rows. When it throws no sequence has moved on, and it may be called again without the one at fault.
   */
  batch(sequences: readonly SequenceTokens[]): Promise<Matrix>;
  /**
   * The same, with a token drawn after each sequence's last, which then is all that leaves the backend's memory. Tokens of long prompts are run chunk by chunk
   * before, and the signal is heard between them: with the error `cancelled` the caches hold the chunks that were run.
   */
  next(sequences: readonly DrawnSequence[], signal?: AbortSignal): Promise<Uint32Array>;
  /** −log p(tokens[i + 1] | tokens[0 … i]) in nats for i = first … tokens.length − 2. */
  score(tokens: Uint32Array, first?: number): Promise<Float32Array>;
  /** Logits after tokens `first` …, a few rows at a time: a window's logits are never whole in memory. */
  logitChunks(tokens: Uint32Array, first?: number): AsyncGenerator<Matrix, void, undefined>;
  close(): Promise<void>;
}

/** Values of logits in memory at a time, beyond one row. */
const logitsAtOnce = 1 << 22;

export interface ModelOptions extends Pick<WeightOptions, 'decode' | 'activations'> {
  /**
   * How keys and values are rounded before they are kept and attended to, in place of what the checkpoint says; 'f32': not at all; 'f16': not at all, but
   * caches keep them in half precision where the backend has such pages. Default: as the checkpoint says, else 'f16'.
   */
  readonly keyValues?: KeyValueRounding | 'f16' | 'f32';
}

/** Loads all weights of `source` into `backend`, where they stay until `close`. The source may be closed afterwards. */
export async function openModel(
  source: WeightSource,
  backend: Backend,
  { decode = false, activations = 'int16', keyValues: asked }: ModelOptions = {},
): Promise<Model> {
  const { plan } = source;
  const weights = new Map<string, LoadedWeight>();
  const options: WeightOptions = { decode, activations, onLoaded: (module, weight) => weights.set(module, weight) };
  const globals = await loadGlobals(source, backend, options);
  const blocks: LoadedBlock[] = [];
  const close = async () => {
    for (const { weights } of blocks) freeBlock(weights, backend);
    freeGlobals(globals, backend);
  };
  try {
    for (const block of plan.blocks) {
      const activations = await loadActivations(source, block);
      const keyValues =
        asked === undefined ? await source.keyValues?.(attentionModule(block)) : typeof asked === 'string' ? undefined : asked;
      const weights = await loadBlock(source, block, backend, options);
      blocks.push({ weights, activations, ...(keyValues && { keyValues }), stages: blockStages(block) });
    }
  } catch (error) {
    await close();
    throw error;
  }
  const roundings = blocks.map(({ keyValues }) => keyValues);
  const forms = cacheForms(plan, backend, roundings, asked === 'f32' ? 'f32' : 'f16');
  const kept = forms[0]!.keys ?? 'f32';
  const model: LoadedModel = { plan, backend, globals, blocks };
  const steps = backend.record && tokenSteps(model, backend.record);
  return {
    plan,
    backend,
    weights,
    cacheForms: forms,
    keyValues: typeof kept === 'object' ? activationName(kept.spec) : kept,
    activations: [...weights.values()].some((weight) => weight.activations !== 'f32') ? activations : 'f32',
    logits: (tokens, options = {}) =>
      steps && options.cache && tokens.length === 1
        ? stepLogits(model, steps, [{ tokens, cache: options.cache }], options.signal)
        : logits(model, tokens, options),
    batch: (sequences) => (steps && areSteps(sequences) ? stepLogits(model, steps, sequences) : batch(model, sequences)),
    next: (sequences, signal) =>
      steps && areSteps(sequences) ? stepTokens(steps, sequences, signal) : drawTokens(model, sequences, signal),
    score: (tokens, first = 0) => score(model, tokens, first),
    logitChunks: (tokens, first = 0) => logitChunks(model, tokens, first),
    async close() {
      steps?.close();
      await close();
    },
  };
}

/** One more token of each. */
function areSteps(sequences: readonly SequenceTokens[]): boolean {
  return sequences.length > 0 && sequences.every(({ tokens }) => tokens.length === 1);
}

async function stepLogits(
  { plan }: LoadedModel,
  steps: TokenSteps,
  sequences: readonly SequenceTokens[],
  signal?: AbortSignal,
): Promise<Matrix> {
  checkSignal(signal);
  checkSequences(sequences);
  const rows = new Float32Array(sequences.length * plan.vocabulary);
  await steps.run(
    sequences.map(({ tokens, cache }) => ({ tokens, cache })),
    rows,
  );
  return matrix(sequences.length, plan.vocabulary, rows);
}

async function stepTokens(steps: TokenSteps, sequences: readonly DrawnSequence[], signal?: AbortSignal): Promise<Uint32Array> {
  checkSignal(signal);
  checkSequences(sequences);
  const drawn = new Float32Array(sequences.length);
  await steps.run(sequences, drawn);
  return Uint32Array.from(drawn);
}

async function logits(model: LoadedModel, tokens: Uint32Array, { cache, lastOnly = false, signal }: LogitsOptions): Promise<Matrix> {
  if (cache && lastOnly) return batch(model, [{ tokens: await prefill(model, { tokens, cache }, signal), cache }]);
  const { plan, backend } = model;
  const step = cache ? prefillChunk : Math.max(1, tokens.length);
  cache?.reserve(tokens.length);
  const parts: Float32Array[] = [];
  for (let at = 0; at < Math.max(1, tokens.length); at += step) {
    checkSignal(signal);
    const chunk = tokens.subarray(at, at + step);
    const runs = [{ tokens: chunk, start: cache?.length ?? 0, ...(cache && { cache }) }];
    const hidden = await hiddenStates(model, runs);
    try {
      const from = lastOnly ? chunk.length - 1 : 0;
      parts.push(await fetchLogits(model, runs, () => backend.ops.rows(hidden, from, chunk.length - from)));
      cache?.advance(chunk);
    } finally {
      backend.free(hidden);
    }
  }
  return matrix(lastOnly ? 1 : tokens.length, plan.vocabulary, joined(parts));
}

async function score(model: LoadedModel, tokens: Uint32Array, first: number): Promise<Float32Array> {
  const { plan, backend, globals } = model;
  const inputs = tokens.subarray(0, -1);
  checkFirst(first, inputs);
  const runs = [{ tokens: inputs, start: 0 }];
  const hidden = await hiddenStates(model, runs);
  try {
    const losses: Float32Array[] = [];
    for (const { from, count } of rowChunks(first, inputs.length, plan.vocabulary)) {
      const targets = tokens.subarray(from + 1, from + 1 + count);
      const loss = await fetch(backend, () =>
        backend.ops.crossEntropy(headLogits(plan, globals, backend, backend.ops.rows(hidden, from, count)), targets),
      );
      await checkFinite(loss, model, runs);
      losses.push(loss);
      if (!backend.deferred) await giveTurn();
    }
    return joined(losses);
  } finally {
    backend.free(hidden);
  }
}

async function* logitChunks(model: LoadedModel, tokens: Uint32Array, first: number): AsyncGenerator<Matrix, void, undefined> {
  const { plan, backend } = model;
  checkFirst(first, tokens);
  const runs = [{ tokens, start: 0 }];
  const hidden = await hiddenStates(model, runs);
  try {
    for (const { from, count } of rowChunks(first, tokens.length, plan.vocabulary)) {
      yield matrix(count, plan.vocabulary, await fetchLogits(model, runs, () => backend.ops.rows(hidden, from, count)));
    }
  } finally {
    backend.free(hidden);
  }
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
