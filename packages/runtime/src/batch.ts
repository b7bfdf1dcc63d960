import { FewbitError, type Matrix, matrix } from '@fewbit/core';
import type { DeviceTensor, Draw } from '@fewbit/kernels';
import { checkSignal } from './check-signal.js';
import { checkFinite, fetch, hiddenStates, type LoadedModel } from './forward-pass.js';
import { headLogits } from './globals.js';
import type { KeyValueCache } from './key-value-cache.js';

/** The next tokens of one sequence of a batch: a prompt, a part of one, or the token drawn last. */
export interface SequenceTokens {
  readonly tokens: Uint32Array;
  /** The sequence's own; the tokens join it. */
  readonly cache: KeyValueCache;
}

/** The same, and how the token after them is drawn. */
export interface DrawnSequence extends SequenceTokens {
  readonly draw: Draw;
}

/** Tokens of one step of a prefill into a cache: enough for the matrix kernels, a whole number of their tiles of 12 and 6, and short enough to stay responsive. */
export const prefillChunk = 264;

/** Logits after each sequence's last token, [sequences, vocabulary]. */
export async function batch(model: LoadedModel, sequences: readonly SequenceTokens[]): Promise<Matrix> {
  return matrix(sequences.length, model.plan.vocabulary, await afterLast(model, sequences, (logits) => logits));
}

/** A token after each sequence's last. Long prompts go ahead, chunk by chunk. */
export async function drawTokens(model: LoadedModel, sequences: readonly DrawnSequence[], signal?: AbortSignal): Promise<Uint32Array> {
  const last: DrawnSequence[] = [];
  for (const sequence of sequences) last.push({ ...sequence, tokens: await prefill(model, sequence, signal) });
  const draws = last.map(({ draw }) => draw);
  return Uint32Array.from(await afterLast(model, last, (logits) => model.backend.ops.sample(logits, draws)));
}

/** Runs all of a sequence's new tokens but the last chunk, which is returned. The signal is heard before each. */
export async function prefill(model: LoadedModel, { tokens, cache }: SequenceTokens, signal?: AbortSignal): Promise<Uint32Array> {
  const { backend } = model;
  cache.reserve(tokens.length);
  let at = 0;
  for (; at + prefillChunk < tokens.length; at += prefillChunk) {
    checkSignal(signal);
    const chunk = tokens.subarray(at, at + prefillChunk);
    const hidden = await hiddenStates(model, [{ tokens: chunk, start: cache.length, cache }]);
    try {
      // a backend that runs apart is waited for, chunk by chunk, so that the signal is heard
      if (backend.deferred) await fetch(backend, () => backend.ops.rows(hidden, 0, 1));
    } finally {
      backend.free(hidden);
    }
    cache.advance(chunk);
  }
  checkSignal(signal);
  return tokens.subarray(at);
}

/** One pass over several sequences: what `of` makes of the logits after the last token of each. */
async function afterLast(
  model: LoadedModel,
  sequences: readonly SequenceTokens[],
  of: (logits: DeviceTensor) => DeviceTensor,
): Promise<Float32Array> {
  const { plan, backend, globals } = model;
  checkSequences(sequences);
  for (const { tokens, cache } of sequences) cache.reserve(tokens.length);
  const runs = sequences.map(({ tokens, cache }) => ({ tokens, cache, start: cache.length }));
  const hidden = await hiddenStates(model, runs);
  try {
    let end = 0;
    const last = Uint32Array.from(sequences, ({ tokens }) => {
      end += tokens.length;
      return end - 1;
    });
    const found = await fetch(backend, () => of(headLogits(plan, globals, backend, backend.ops.embed(hidden, last))));
    await checkFinite(found, model, runs);
    for (const { tokens, cache } of sequences) cache.advance(tokens);
    return found;
  } finally {
    backend.free(hidden);
  }
}

/** Throws `usage` for no sequences, or two of one cache. */
export function checkSequences(sequences: readonly SequenceTokens[]): void {
  if (sequences.length === 0) throw new FewbitError('usage', 'The batch has no sequences: give at least one.');
  if (new Set(sequences.map(({ cache }) => cache)).size < sequences.length) {
    throw new FewbitError('usage', 'Two sequences of the batch share a cache: give each its own.');
  }
}
