import { FewbitError } from '@fewbit/core';
import type { Tokenizer } from '@fewbit/tokenizer';
import { createCache, type KeyValueCache } from './key-value-cache.js';
import type { Model } from './open-model.js';
import { draws, type SamplingOptions } from './sampling.js';

export interface GenerateOptions extends SamplingOptions {
  /** Text, with the special tokens that the tokenizer adds, or ids as they are. */
  readonly prompt: string | Uint32Array;
  /** Default 128. */
  readonly maxTokens?: number;
  /** Ids that end the text and are not part of it (`endTokens`). Default: the tokenizer's EOS. */
  readonly eos?: readonly number[];
  /**
   * A cache that stays the caller's, for prompts that go on from earlier ones, as in a chat: what it holds of the prompt's beginning is not run again.
   * Afterwards it holds the prompt and the continuation as far as they were run, also when the consumer leaves or the signal fires.
   */
  readonly cache?: KeyValueCache;
  /** Heard between the chunks of a long prompt, and between tokens. */
  readonly signal?: AbortSignal;
}

export interface GenerateSummary {
  /** The continuation alone. */
  readonly text: string;
  /** Of the continuation. */
  readonly tokens: number;
  readonly promptTokens: number;
  /** Of the prompt: found in the cache. */
  readonly cachedTokens: number;
  /** Of those that were not. */
  readonly prefillTokensPerSecond: number;
  /** Of the tokens after the first; 0 when there are none. */
  readonly decodeTokensPerSecond: number;
  /** Why it ended: an end token, `maxTokens`, or the end of the model's context. */
  readonly finish: 'eos' | 'length' | 'context';
}

/**
 * Continues a prompt, yielding text as it becomes whole, and returns the summary. Other work of the process runs between tokens.
 * Throws `usage` for an empty prompt or one that fills the context, `cancelled` when the signal fires.
 */
export async function* generate(
  model: Model,
  tokenizer: Tokenizer,
  options: GenerateOptions,
): AsyncGenerator<string, GenerateSummary, undefined> {
  const { prompt, maxTokens = 128, signal } = options;
  const ends = new Set(options.eos ?? (tokenizer.eos === undefined ? [] : [tokenizer.eos]));
  if (!Number.isSafeInteger(maxTokens) || maxTokens < 1)
    throw new FewbitError('usage', `maxTokens must be a positive integer, got ${maxTokens}.`);
  const nextDraw = draws(options);
  const ids = typeof prompt === 'string' ? tokenizer.encode(prompt) : prompt;
  checkPrompt(ids.length, model.plan.maxPositions);

  const cache = options.cache ?? createCache(model);
  // the last token runs in any case: the answer begins with its logits
  const cached = Math.min(sharedLength(cache.tokens(), ids), ids.length - 1);
  cache.truncate(cached);
  const stream = tokenizer.stream();
  let text = '';
  let tokens = 0;
  let steps = 0;
  let decodeSeconds = 0;
  let finish: GenerateSummary['finish'] = 'length';
  try {
    let started = performance.now();
    let next = await model.next([{ tokens: ids.subarray(cached), cache, draw: nextDraw() }], signal);
    const prefillSeconds = (performance.now() - started) / 1000;
    for (;;) {
      const token = next[0]!;
      if (ends.has(token)) {
        finish = 'eos';
        break;
      }
      tokens++;
      const piece = stream.push(token);
      text += piece;
      if (piece !== '') yield piece;
      if (tokens === maxTokens) break;
      if (cache.length === model.plan.maxPositions) {
        finish = 'context';
        break;
      }
      // the consumer's time between pieces is not the model's
      started = performance.now();
      next = await model.next([{ tokens: next, cache, draw: nextDraw() }], signal);
      decodeSeconds += (performance.now() - started) / 1000;
      steps++;
    }
    const rest = stream.end();
    text += rest;
    if (rest !== '') yield rest;
    return {
      text,
      tokens,
      promptTokens: ids.length,
      cachedTokens: cached,
      prefillTokensPerSecond: (ids.length - cached) / prefillSeconds,
      decodeTokensPerSecond: steps === 0 ? 0 : steps / decodeSeconds,
      finish,
    };
  } finally {
    if (cache !== options.cache) cache.close();
  }
}

/** Tokens that two sequences have in common from the start. */
function sharedLength(a: Uint32Array, b: Uint32Array): number {
  const different = a.findIndex((token, i) => token !== b[i]);
  return different < 0 ? a.length : different;
}

function checkPrompt(length: number, most: number): void {
  if (length === 0) throw new FewbitError('usage', 'The prompt has no tokens: give a text to continue.');
  if (length >= most) {
    throw new FewbitError(
      'usage',
      `The prompt has ${length} tokens; with a context of ${most} at most ${most - 1} leave room for an answer. Shorten it.`,
    );
  }
}
