/**
 * BPE merges ↔ SentencePiece scores. Both join the neighbours that come first in an order: merges list pairs, scores rate the joined piece.
 */
import { FewbitError } from '@fewbit/core';
import { quote } from '../quote.js';

/** Stands for a space in pieces. */
export const spaceMark = '\u2581';

const normal = 1;
/** Of pieces that no merge makes. */
const lowest = -1e6;

/** Pairs of a tokenizer.json, which has them as `"a b"` or as `["a", "b"]`. */
export function mergesOf(json: unknown): readonly (readonly [string, string])[] {
  return (Array.isArray(json) ? json : []).map((entry): [string, string] => {
    if (Array.isArray(entry) && entry.length === 2) return entry as [string, string];
    const at = typeof entry === 'string' ? entry.indexOf(' ', 1) : -1;
    if (at < 0) throw new FewbitError('config', `tokenizer.json: merge ${quote(entry)} is not two tokens.`);
    return [entry.slice(0, at), entry.slice(at + 1)];
  });
}

/** −rank of the first merge that makes a piece; 0 for what is not a normal piece, as sentencepiece has it. */
export function mergeScores(texts: readonly string[], kinds: readonly number[], merges: readonly (readonly [string, string])[]): number[] {
  const rank = new Map<string, number>();
  for (const [index, [left, right]] of merges.entries()) if (!rank.has(left + right)) rank.set(left + right, index);
  return texts.map((text, id) => {
    if (kinds[id] !== normal) return 0;
    const found = rank.get(text);
    return found === undefined ? lowest : -found;
  });
}

/** All pairs of normal pieces that join to a third, in the order of its score; of equals as transformers' converter has them, by the ids of the parts. */
export function mergesFromScores(texts: readonly string[], kinds: readonly number[], scores: readonly number[]): [string, string][] {
  const ids = new Map<string, number>();
  for (const [id, text] of texts.entries()) if (kinds[id] === normal) ids.set(text, id);
  const pairs: { left: number; right: number; score: number }[] = [];
  for (const [text, id] of ids) {
    const characters = [...text];
    if (characters.length > longestPiece)
      throw new FewbitError('checkpoint', `Token ${quote(text)} is longer than ${longestPiece} characters.`);
    for (let cut = 1, at = 0; cut < characters.length; cut++) {
      at += characters[cut - 1]!.length;
      const left = ids.get(text.slice(0, at));
      const right = ids.get(text.slice(at));
      if (left !== undefined && right !== undefined) pairs.push({ left, right, score: scores[id]! });
    }
  }
  pairs.sort((a, b) => b.score - a.score || a.left - b.left || a.right - b.right);
  return pairs.map(({ left, right }) => [texts[left]!, texts[right]!]);
}

/** Pieces of published vocabularies have at most some 100 characters; each is cut at every place. */
const longestPiece = 1024;
