import { FewbitError } from '@fewbit/core';

export const protocols = ['gptq', 'llama.cpp', 'word', 'document'] as const;
/**
 * How a perplexity is measured; a number without its protocol means nothing.
 *
 * - `gptq`: documents joined by a blank line, tokenized in one call, windows that do not overlap, tail dropped,
 *   every prediction inside a window scored (GPTQ, AWQ, SmoothQuant, SpQR and most papers).
 * - `llama.cpp`: BOS in place of the first token of every window, only the second half scored.
 * - `word`: lm-eval's rolling windows per document; the sum of all losses divided by the number of words.
 * - `document`: each document alone, BOS first, cut at the context, every prediction scored.
 */
export type Protocol = (typeof protocols)[number];

/** Tokens to run, of which the predictions first … tokens.length − 2 are scored (prediction p is of token p + 1). */
export interface ScoredWindow {
  readonly tokens: Uint32Array;
  readonly first: number;
}

export interface WindowOptions {
  readonly protocol: Protocol;
  readonly context: number;
  /** Text to ids, with the special tokens that the tokenizer adds, or without. */
  readonly encode: (text: string, special: boolean) => Uint32Array;
  /** The tokenizer's BOS, and whether it puts it there by itself. */
  readonly bos?: number;
  readonly eos?: number;
}

/** Cuts documents into scored windows. Throws `calibration` when the text is too short for one window. */
export function scoredWindows(documents: readonly string[], options: WindowOptions): ScoredWindow[] {
  const windows = cut[options.protocol](documents, options);
  if (windows.length === 0) {
    const found = options.encode(documents.join('\n\n'), true).length;
    const needed = options.protocol === 'gptq' || options.protocol === 'llama.cpp' ? options.context : 2;
    throw new FewbitError(
      'calibration',
      `The text has ${found} tokens; protocol ${options.protocol} needs at least ${needed}. Give more text, or a smaller --context.`,
    );
  }
  return windows;
}

const cut: Record<Protocol, (documents: readonly string[], options: WindowOptions) => ScoredWindow[]> = {
  gptq: (documents, { encode, context }) => slices(encode(documents.join('\n\n'), true), context).map((tokens) => ({ tokens, first: 0 })),

  'llama.cpp'(documents, { encode, context, bos }) {
    const stream = encode(documents.join('\n\n'), true);
    const addsBos = bos !== undefined && stream[0] === bos;
    return slices(stream, context).map((slice) => {
      const tokens = slice.slice();
      if (addsBos) tokens[0] = bos;
      return { tokens, first: context >> 1 };
    });
  },

  document: (documents, { encode, context, bos }) =>
    documents
      .map((text) => {
        const ids = encode(text, true);
        const withBos = bos === undefined || ids[0] === bos ? ids : Uint32Array.of(bos, ...ids);
        return { tokens: withBos.subarray(0, context), first: 0 };
      })
      .filter(({ tokens }) => tokens.length > 1),

  // lm-eval's get_rolling_token_windows with context_len 1: the first window starts from the prefix token, later
  // ones predict `context` new tokens each; the last is filled up with older tokens as context.
  word(documents, { encode, context, bos, eos }) {
    const prefix = bos ?? eos;
    if (prefix === undefined) throw new FewbitError('config', 'Protocol word needs a BOS or EOS token; this tokenizer names neither.');
    return documents.flatMap((text) => {
      const stream = Uint32Array.of(prefix, ...encode(text, false));
      const windows: ScoredWindow[] = [];
      for (let done = 0; done < stream.length - 1; done += context) {
        const predict = Math.min(context, stream.length - 1 - done);
        const end = done + predict + 1;
        const tokens = stream.subarray(Math.max(0, end - context - 1), end);
        windows.push({ tokens, first: tokens.length - 1 - predict });
      }
      return windows;
    });
  },
};

/** Windows of `length` that do not overlap; the tail is dropped. */
function slices(stream: Uint32Array, length: number): Uint32Array[] {
  return Array.from({ length: Math.floor(stream.length / length) }, (_, i) => stream.subarray(i * length, (i + 1) * length));
}

/** Words as lm-eval counts them: the pieces of the text between white space. */
export function wordCount(text: string): number {
  return text.split(/\s+/).length;
}
