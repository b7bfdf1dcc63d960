import { describe, expect, it } from 'vitest';
import { type Protocol, scoredWindows, wordCount } from './windows.js';

/** One token per character; BOS is 1000. */
const encode = (text: string, special: boolean) => Uint32Array.from([...(special ? [1000] : []), ...[...text].map((c) => c.charCodeAt(0))]);
const cut = (documents: string[], protocol: Protocol, context: number) =>
  scoredWindows(documents, { protocol, context, encode, bos: 1000 });
const text = (tokens: Uint32Array) => [...tokens].map((t) => (t === 1000 ? '^' : String.fromCharCode(t))).join('');

describe('scoredWindows', () => {
  it('gptq: one stream, windows that do not overlap, tail dropped', () => {
    const windows = cut(['abcd', 'efg'], 'gptq', 4);
    expect(windows.map((w) => [text(w.tokens), w.first])).toEqual([
      ['^abc', 0],
      ['d\n\ne', 0],
    ]);
  });

  it('llama.cpp: BOS in place of the first token, second half scored', () => {
    const windows = cut(['abcdefghij'], 'llama.cpp', 4);
    expect(windows.map((w) => [text(w.tokens), w.first])).toEqual([
      ['^abc', 2],
      ['^efg', 2],
    ]);
  });

  it('document: each alone, cut at the context', () => {
    expect(cut(['abcdef', 'x', ''], 'document', 4).map((w) => [text(w.tokens), w.first])).toEqual([
      ['^abc', 0],
      ['^x', 0],
    ]);
  });

  it('word: every token predicted once, at most `context` tokens before it', () => {
    const windows = cut(['abcdefgh'], 'word', 3);
    expect(windows.map((w) => [text(w.tokens), w.first])).toEqual([
      ['^abc', 0],
      ['cdef', 0],
      ['efgh', 1],
    ]);
    const scored = windows.flatMap((w) => [...text(w.tokens.subarray(w.first + 1))]).join('');
    expect(scored).toBe('abcdefgh');
  });

  it('says how many tokens it needs', () => {
    expect(() => cut(['abc'], 'gptq', 8)).toThrow(/has 4 tokens; protocol gptq needs at least 8/);
    expect(() => cut([''], 'document', 8)).toThrow(/needs at least 2/);
  });
});

it('counts words as lm-eval does', () => {
  expect(wordCount('a b  c\nd')).toBe(4);
});
