import { FewbitError } from '@fewbit/core';
import type { Model } from '@fewbit/runtime';
import type { Tokenizer } from '@fewbit/tokenizer';
import { Comparing, type Comparison } from './comparison.js';
import { Mean } from './mean.js';
import { type Protocol, scoredWindows, wordCount } from './windows.js';

export interface PerplexityOptions {
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  readonly documents: readonly string[];
  readonly protocol: Protocol;
  /** Tokens of a window. Default 2048 (512 for `llama.cpp`), at most what the model takes. */
  readonly context?: number;
  /** Only the first n windows. */
  readonly windows?: number;
  /** A model with the same tokenizer to compare with, token by token. */
  readonly baseline?: Model;
  readonly signal?: AbortSignal;
  /** 0 … 1 */
  readonly onProgress?: (fraction: number) => void;
}

export interface PerplexityResult {
  readonly protocol: Protocol;
  readonly context: number;
  /** Scored predictions. */
  readonly tokens: number;
  readonly windows: number;
  /** Mean of −log p over the scored predictions, nats. */
  readonly nll: number;
  /** exp(nll); for protocol `word` exp(total / words). */
  readonly perplexity: number;
  /** Of the perplexity: its value × the standard error of the mean loss over the predictions, taken as independent. */
  readonly standardError: number;
  readonly seconds: number;
  readonly baseline?: Comparison;
}

/** Perplexity of a model on a text. Throws `usage` for a context or baseline that the model cannot take, `calibration` for too little text. */
export async function perplexity(options: PerplexityOptions): Promise<PerplexityResult> {
  const started = performance.now();
  const { model, tokenizer, documents, protocol, baseline, signal, onProgress } = options;
  const context = checkContext(options);
  checkBaseline(options);
  const all = scoredWindows(documents, {
    protocol,
    context,
    encode: (text, addSpecialTokens) => tokenizer.encode(text, { addSpecialTokens }),
    ...(tokenizer.bos !== undefined && { bos: tokenizer.bos }),
    ...(tokenizer.eos !== undefined && { eos: tokenizer.eos }),
  });
  const windows = all.slice(0, options.windows);
  if (protocol === 'word' && windows.length < all.length) {
    throw new FewbitError('usage', 'Protocol word is over whole documents: --windows would cut one. Give less text instead.');
  }
  const loss = new Mean();
  const comparing = baseline && new Comparing();
  for (const [index, window] of windows.entries()) {
    if (signal?.aborted) throw new FewbitError('cancelled', 'Evaluation stopped.', { cause: signal.reason });
    onProgress?.(index / windows.length);
    if (baseline && comparing) await comparing.add(model, baseline, window, loss);
    else for (const nll of await model.score(window.tokens, window.first)) loss.add(nll);
  }
  const units = protocol === 'word' ? documents.reduce((sum, text) => sum + wordCount(text), 0) : loss.count;
  const value = Math.exp((loss.mean * loss.count) / units);
  return {
    protocol,
    context,
    tokens: loss.count,
    windows: windows.length,
    nll: loss.mean,
    perplexity: value,
    standardError: value * loss.standardError * (loss.count / units),
    seconds: (performance.now() - started) / 1000,
    ...(comparing && { baseline: comparing.result(units) }),
  };
}

function checkContext({ context, protocol, model }: PerplexityOptions): number {
  const most = model.plan.maxPositions;
  if (context === undefined) return Math.min(protocol === 'llama.cpp' ? 512 : 2048, most);
  if (!Number.isSafeInteger(context) || context < 2)
    throw new FewbitError('usage', `A context of ${context} tokens scores nothing: give 2 or more.`);
  if (context > most) throw new FewbitError('usage', `Context ${context} is more than the ${most} positions of this model.`);
  return context;
}

function checkBaseline({ model, baseline }: PerplexityOptions): void {
  const [own, other] = [model.plan.vocabulary, baseline?.plan.vocabulary];
  if (other === undefined || own === other) return;
  throw new FewbitError(
    'usage',
    `The baseline has ${other} tokens in its vocabulary, the model ${own}: compare models with the same tokenizer.`,
  );
}
