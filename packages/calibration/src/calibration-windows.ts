import { createHash } from 'node:crypto';
import { FewbitError, random } from '@fewbit/core';
import type { CalibrationSet } from './types.js';

/** Where the windows lie in the stream of tokens. */
export type Sampling = 'spread' | 'first' | 'random';

export interface WindowOptions {
  /** In file order. */
  readonly documents: readonly string[];
  /** `encode` gives a document's tokens, the tokenizer's special tokens among them. */
  readonly tokenizer: { encode(text: string): ArrayLike<number> };
  /** Number of windows. Default 128. */
  readonly samples?: number;
  /** Tokens of a window. Default 2048. */
  readonly length?: number;
  /** Spread evenly over the stream (default), the first ones, or drawn by `seed`. */
  readonly sampling?: Sampling;
  /** For `random`. Default 0. */
  readonly seed?: number;
  /** What the text is, for reports and messages. Default `text`. */
  readonly source?: string;
}

/**
 * Windows to calibrate on: the documents' tokens joined into one stream and cut every `length` tokens, the tail dropped.
 * Throws `calibration` when there are fewer than `samples` windows, `usage` for counts that are not positive integers.
 */
export function calibrationWindows(options: WindowOptions): CalibrationSet {
  const { documents, tokenizer, samples = 128, length = 2048, sampling = 'spread', seed = 0, source = 'text' } = options;
  requireCount('samples', samples);
  requireCount('length', length);
  const needed = samples * length;
  const stream = tokenStream(documents, tokenizer, sampling === 'first' ? needed : Number.POSITIVE_INFINITY);
  if (stream.length < needed) {
    throw new FewbitError(
      'calibration',
      `${source} gives ${stream.length} tokens; ${samples} windows of ${length} need ${needed}. Give more text, or lower samples or length.`,
    );
  }
  const windows = windowIndices(Math.floor(stream.length / length), samples, sampling, seed).map((index) =>
    stream.slice(index * length, (index + 1) * length),
  );
  return { source, fingerprint: fingerprint(windows), windows };
}

function tokenStream(documents: readonly string[], tokenizer: WindowOptions['tokenizer'], enough: number): Uint32Array {
  const parts: ArrayLike<number>[] = [];
  let total = 0;
  for (const document of documents) {
    if (total >= enough) break;
    const tokens = tokenizer.encode(document);
    parts.push(tokens);
    total += tokens.length;
  }
  const stream = new Uint32Array(total);
  let at = 0;
  for (const part of parts) {
    stream.set(part, at);
    at += part.length;
  }
  return stream;
}

/** Which of `available` windows are taken, ascending. */
function windowIndices(available: number, samples: number, sampling: Sampling, seed: number): number[] {
  if (sampling === 'first') return Array.from({ length: samples }, (_, i) => i);
  if (sampling === 'spread') return Array.from({ length: samples }, (_, i) => Math.floor((i * available) / samples));
  if (sampling !== 'random') throw new FewbitError('usage', `Sampling '${String(sampling)}' is not known: take spread, first or random.`);
  const draw = random(seed);
  const all = Array.from({ length: available }, (_, i) => i);
  for (let i = 0; i < samples; i++) {
    const j = i + draw.below(available - i);
    [all[i], all[j]] = [all[j]!, all[i]!];
  }
  return all.slice(0, samples).sort((a, b) => a - b);
}

/** sha256 of the windows' lengths and tokens, little-endian. */
function fingerprint(windows: readonly Uint32Array[]): string {
  const hash = createHash('sha256');
  for (const window of windows) {
    const bytes = new DataView(new ArrayBuffer(4 * (window.length + 1)));
    bytes.setUint32(0, window.length, true);
    for (const [i, token] of window.entries()) bytes.setUint32(4 * (i + 1), token, true);
    hash.update(bytes);
  }
  return hash.digest('hex');
}

function requireCount(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) throw new FewbitError('usage', `${name} must be a positive integer, got ${value}.`);
}
