import { FewbitError, matrix } from '@fewbit/core';
import type { Backend, DeviceTensor } from '@fewbit/kernels';
import type { ModelPlan } from '@fewbit/models';
import { applyNorm } from './apply-norm.js';
import { freeBlock, loadTensors, normTensors, uploadVector } from './load-block.js';
import { loadWeight, type WeightOptions } from './load-linear.js';
import type { BlockWeights, WeightSource } from './types.js';

/** The weights outside the blocks, by tensor name: embeddings, final norm, head. */
export type Globals = BlockWeights;

/** Puts the weights outside the blocks into the backend's memory, where they stay until `freeGlobals`. */
export function loadGlobals(source: WeightSource, backend: Backend, options: WeightOptions = {}): Promise<Globals> {
  const { embedding, finalNorm, head } = source.plan;
  const tables = new Set([embedding.tokens, head.weight]);
  const vectors = [...(embedding.positions ? [embedding.positions] : []), ...normTensors(finalNorm)];
  return loadTensors(backend, async (weights) => {
    for (const name of tables) weights.set(name, await uploadTable(source, name, backend, options));
    for (const name of vectors) weights.set(name, await uploadVector(source, name, backend));
  });
}

/** A table that is no head is read a few rows at a time: it may stay in the checkpoint's file. */
function uploadTable(source: WeightSource, name: string, backend: Backend, options: WeightOptions): Promise<DeviceTensor> {
  const read = async () => {
    const { data, shape } = await source.vector(name);
    return matrix(shape[0]!, shape[1]!, data);
  };
  return loadWeight(source, name.replace(/\.weight$/, ''), read, backend, options, name !== source.plan.head.weight);
}

export const freeGlobals: (globals: Globals, backend: Backend) => void = freeBlock;

/**
 * Hidden states [m, hidden] before the first block, of the tokens of all runs, one after the other; a run's first token is at position `start`. Throws as `checkTokens`.
 */
export function embedTokens(
  plan: ModelPlan,
  globals: Globals,
  backend: Backend,
  runs: readonly { readonly tokens: Uint32Array; readonly start: number }[],
): DeviceTensor {
  for (const { tokens, start } of runs) checkTokens(plan, tokens, start);
  const { ops } = backend;
  const { embedding } = plan;
  const found = ops.embed(globals.get(embedding.tokens)!, concatenated(runs.map(({ tokens }) => tokens)));
  const scaled = embedding.scale === 1 ? found : ops.scale(found, embedding.scale);
  if (!embedding.positions) return scaled;
  const positions = concatenated(runs.map(({ tokens, start }) => tokens.map((_, i) => start + i)));
  return ops.add(scaled, ops.embed(globals.get(embedding.positions)!, positions));
}

/** Logits [m, vocabulary] of the last block's outputs [m, hidden]. */
export function headLogits(plan: ModelPlan, globals: Globals, backend: Backend, hidden: DeviceTensor): DeviceTensor {
  const { ops } = backend;
  const logits = ops.matmul(applyNorm(ops, plan.finalNorm, globals, hidden), globals.get(plan.head.weight)!);
  return plan.logitSoftcap ? ops.softcap(logits, plan.logitSoftcap) : logits;
}

function concatenated(parts: readonly Uint32Array[]): Uint32Array {
  return parts.length === 1 ? parts[0]! : Uint32Array.from(parts.flatMap((part) => [...part]));
}

/** Throws `usage` for ids outside the vocabulary or positions outside the context. */
export function checkTokens({ vocabulary, maxPositions }: ModelPlan, tokens: Uint32Array, start: number): void {
  if (tokens.length === 0) throw new FewbitError('usage', 'There are no tokens to run: give at least one.');
  if (start + tokens.length > maxPositions) {
    throw new FewbitError(
      'usage',
      `${start + tokens.length} tokens are more than this model's context of ${maxPositions}: give a shorter text.`,
    );
  }
  const wrong = tokens.findIndex((token) => token >= vocabulary);
  if (wrong >= 0) {
    throw new FewbitError(
      'usage',
      `Token ${tokens[wrong]} at place ${wrong} is not in the model's vocabulary of ${vocabulary}: use the model's own tokenizer.`,
    );
  }
}
