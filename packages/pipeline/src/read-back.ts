import { openModelDirectory } from '@fewbit/checkpoint';
import { FewbitError } from '@fewbit/core';
import type { Layout } from '@fewbit/formats';
import type { Backend } from '@fewbit/kernels';
import { attentionModule, type BlockPlan } from '@fewbit/models';
import {
  blockStages,
  embedTokens,
  freeBlock,
  freeGlobals,
  type Globals,
  headLogits,
  loadActivations,
  loadBlock,
  loadGlobals,
  openWeights,
  type WeightSource,
} from '@fewbit/runtime';
import { backendPlace, type Place } from './place.js';
import { advance, release, type SequenceState } from './sequence-state.js';

/** Same codes, same kernels: only the order of a decode may differ. */
const tolerance = 1e-4;

/**
 * Opens the checkpoint just written as any user would and compares its logits with those of the model in memory, one block in memory at a time.
 * Returns their relative L2 difference. Throws `output` when they disagree, and what `goOn`, called between blocks, throws to stop.
 */
export async function readBack(
  path: string,
  layout: Layout,
  tokens: Uint32Array,
  expected: Float32Array,
  backend: Backend,
  goOn: () => void,
): Promise<number> {
  const directory = await openModelDirectory(path);
  try {
    const difference = relativeDistance(await logitsOfModel(await openWeights(directory, [layout]), tokens, backend, goOn), expected);
    if (!(difference <= tolerance)) {
      throw new FewbitError(
        'output',
        `What was written reads back with logits that differ by ${difference} (relative L2) from the model in memory; at most ${tolerance} is rounding. It was removed: please report this.`,
      );
    }
    return difference;
  } finally {
    await directory.close();
  }
}

/** Logits [tokens, vocabulary] of the hidden states after the last block. */
export function logitsOf({ plan }: WeightSource, globals: Globals, backend: Backend, residual: Place): Promise<Float32Array> {
  return residual.lend(async (hidden) => {
    const logits = backend.step(() => headLogits(plan, globals, backend, hidden!));
    try {
      return await backend.download(logits);
    } finally {
      backend.free(logits);
    }
  });
}

async function logitsOfModel(source: WeightSource, tokens: Uint32Array, backend: Backend, goOn: () => void): Promise<Float32Array> {
  const { plan } = source;
  const globals = await loadGlobals(source, backend, { decode: true });
  const state = { residual: backendPlace(backend), input: backendPlace(backend) };
  try {
    await state.residual.put(backend.step(() => embedTokens(plan, globals, backend, [{ tokens, start: 0 }])));
    for (const block of plan.blocks) {
      goOn();
      await runBlock(block, source, state, tokens.length, backend);
    }
    return await logitsOf(source, globals, backend, state.residual);
  } finally {
    release(state);
    freeGlobals(globals, backend);
  }
}

async function runBlock(block: BlockPlan, source: WeightSource, state: SequenceState, rows: number, backend: Backend): Promise<void> {
  const activations = await loadActivations(source, block);
  const keyValues = await source.keyValues?.(attentionModule(block));
  const weights = await loadBlock(source, block, backend, { decode: true });
  try {
    for (const stage of blockStages(block)) {
      await advance(stage, rows, state, { backend, weights, activations, ...(keyValues && { keyValues }) });
    }
  } finally {
    freeBlock(weights, backend);
  }
}

function relativeDistance(a: Float32Array, b: Float32Array): number {
  let distance = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    distance += (a[i]! - b[i]!) ** 2;
    norm += b[i]! ** 2;
  }
  return Math.sqrt(distance / norm);
}
