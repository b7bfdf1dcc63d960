import { FewbitError, firstNonFinite } from '@fewbit/core';
import type { KeyValueRounding } from '@fewbit/formats';
import type { Backend, DeviceTensor } from '@fewbit/kernels';
import type { ModelPlan } from '@fewbit/models';
import { embedTokens, type Globals, headLogits } from './globals.js';
import type { KeyValueCache } from './key-value-cache.js';
import { giveTurn } from './next-turn.js';
import type { BlockActivations, BlockWeights, Stage, StageContext, StageState } from './types.js';

/** A model in a backend's memory. */
export interface LoadedModel {
  readonly plan: ModelPlan;
  readonly backend: Backend;
  readonly globals: Globals;
  readonly blocks: readonly LoadedBlock[];
}

export interface LoadedBlock {
  readonly weights: BlockWeights;
  readonly activations: BlockActivations;
  readonly keyValues?: KeyValueRounding;
  readonly stages: readonly Stage[];
}

/** Successive tokens of one sequence, of which `cache` holds those before `start`. */
export interface TokenRun {
  readonly tokens: Uint32Array;
  readonly start: number;
  readonly cache?: KeyValueCache;
}

/**
 * Outputs of the last block for the tokens of all runs, one after the other: [m, hidden]; the caller frees them. Other work of the process runs
 * between stages, or between blocks where the backend runs apart from JavaScript's thread.
 */
export async function hiddenStates(model: LoadedModel, runs: readonly TokenRun[]): Promise<DeviceTensor> {
  const { plan, backend, globals, blocks } = model;
  let hidden = backend.step(() => embedTokens(plan, globals, backend, runs));
  for (const index of blocks.keys()) {
    const input = hidden;
    hidden = await runBlock(model, index, input, runs);
    backend.free(input);
  }
  return hidden;
}

/** The same at once, of ops that are only written down. */
export function writeHiddenStates(model: LoadedModel, runs: readonly TokenRun[]): DeviceTensor {
  const { plan, backend, globals, blocks } = model;
  let hidden = backend.step(() => embedTokens(plan, globals, backend, runs));
  for (const index of blocks.keys()) {
    const input = hidden;
    hidden = writeBlock(model, index, input, runs);
    backend.free(input);
  }
  return hidden;
}

function writeBlock(model: LoadedModel, index: number, residual: DeviceTensor, runs: readonly TokenRun[]): DeviceTensor {
  const { backend, blocks } = model;
  const context = contextOf(model, index, runs);
  return backend.step(() => blocks[index]!.stages.reduce<StageState>((state, stage) => stage.run(state, context), { residual }).residual);
}

async function runBlock(model: LoadedModel, index: number, residual: DeviceTensor, runs: readonly TokenRun[]): Promise<DeviceTensor> {
  const { backend, blocks } = model;
  if (backend.deferred) {
    await giveTurn();
    return writeBlock(model, index, residual, runs);
  }
  const context = contextOf(model, index, runs);
  let state: StageState = { residual };
  for (const stage of blocks[index]!.stages) {
    state = nextState(backend, residual, state, () => stage.run(state, context));
    await giveTurn();
  }
  return state.residual;
}

function contextOf({ backend, blocks }: LoadedModel, index: number, runs: readonly TokenRun[]): StageContext {
  const { weights, activations, keyValues } = blocks[index]!;
  const sequences = runs.map(({ tokens, start, cache }) => ({ rows: tokens.length, start, ...(cache && { cache: cache.blocks[index]! }) }));
  return { backend, weights, activations, ...(keyValues && { keyValues }), sequences };
}

/** The state that `body` makes of another, whose tensors are freed but for those that go on and for the block's input. */
function nextState(backend: Backend, input: DeviceTensor, state: StageState, body: () => StageState): StageState {
  let kept: StageState | undefined;
  try {
    kept = backend.step(() => ({ ...body() }));
    return kept;
  } finally {
    const stay = [input, kept?.residual, kept?.input];
    for (const tensor of [state.residual, state.input]) if (tensor && !stay.includes(tensor)) backend.free(tensor);
  }
}

/** Logits of hidden states that `pick` takes from those of the runs. Throws `numeric` for NaN or Inf. */
export async function fetchLogits(model: LoadedModel, runs: readonly TokenRun[], pick: () => DeviceTensor): Promise<Float32Array> {
  const { plan, backend, globals } = model;
  const rows = await fetch(backend, () => headLogits(plan, globals, backend, pick()));
  await checkFinite(rows, model, runs);
  return rows;
}

/** What `body` computes, on the host. */
export async function fetch(backend: Backend, body: () => DeviceTensor): Promise<Float32Array> {
  const tensor = backend.step(body);
  try {
    return await backend.download(tensor);
  } finally {
    backend.free(tensor);
  }
}

/** Throws `numeric` when values of a pass over `runs` are not finite, after running it again to find the first place. */
export async function checkFinite(values: Float32Array, model: LoadedModel, runs: readonly TokenRun[]): Promise<void> {
  if (firstNonFinite(values) < 0) return;
  const { plan, backend, globals } = model;
  let hidden = backend.step(() => embedTokens(plan, globals, backend, runs));
  try {
    for (const [index, { prefix }] of plan.blocks.entries()) {
      const input = hidden;
      hidden = await runBlock(model, index, input, runs);
      backend.free(input);
      const at = firstNonFinite(await backend.download(hidden));
      if (at >= 0) throw nonFinite(`The output of block ${prefix} has NaN or Inf at ${placeOf(Math.floor(at / plan.hidden), runs)}`);
    }
    throw nonFinite('The logits have NaN or Inf, but no block before them');
  } finally {
    backend.free(hidden);
  }
}

function placeOf(row: number, runs: readonly TokenRun[]): string {
  let first = 0;
  const index = runs.findIndex(({ tokens }) => {
    first += tokens.length;
    return row < first;
  });
  const { tokens, start } = runs[index]!;
  return `token ${start + row - (first - tokens.length)}${runs.length > 1 ? ` of sequence ${index}` : ''}`;
}

function nonFinite(what: string): FewbitError {
  return new FewbitError(
    'numeric',
    `${what}: the weights are damaged or too large for float32, or keys too large for a cache in half precision. Compare the files with their source, or keep the cache in float32 (--kv-cache f32).`,
  );
}
