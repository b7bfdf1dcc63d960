import { createCache, type Model } from '@fewbit/runtime';
import type { Task } from './peers/types.js';
import { type Run, seconds } from './take-turns.js';

/** Sequences of a model at different positions, which go on from there in every run; figures are tokens per second of all of them. */
export interface Batch {
  /** A token of each in one pass. */
  readonly together: Run;
  /** All tokens of one, then those of the next. */
  readonly oneByOne: Run;
  close(): void;
}

/** Runs the context of each sequence once. */
export async function openBatch(model: Model, { prompt, generate, contexts }: Task): Promise<Batch> {
  const caches = contexts.map(() => createCache(model));
  const close = () => {
    for (const cache of caches) cache.close();
  };
  const goOn = async (group: readonly (typeof caches)[number][]) => {
    let tokens = group.map(() => prompt[0]!);
    for (let i = 0; i < generate; i++) {
      const next = group.map((cache, at) => ({ tokens: Uint32Array.of(tokens[at]!), cache, draw: { uniform: 0, temperature: 0 } }));
      tokens = [...(await model.next(next))];
    }
  };
  const run = (groups: readonly (typeof caches)[]): Run => {
    return async () => {
      for (const [at, cache] of caches.entries()) cache.truncate(contexts[at]!);
      const time = await seconds(async () => {
        for (const group of groups) await goOn(group);
      });
      return (caches.length * generate) / time;
    };
  };
  try {
    for (const [at, cache] of caches.entries()) await model.logits(prompt.subarray(0, contexts[at]), { cache, lastOnly: true });
  } catch (error) {
    close();
    throw error;
  }
  return { together: run([caches]), oneByOne: run(caches.map((cache) => [cache])), close };
}

/** Lengths of the contexts of `sequences` sequences, as far apart as a prompt of so many tokens lets them be. */
export function contextsOf(sequences: number, prompt: number): number[] {
  return Array.from({ length: sequences }, (_, i) => Math.ceil(((i + 1) * prompt) / sequences));
}
