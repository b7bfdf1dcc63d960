import { FewbitError } from '@fewbit/core';
import { list, quote } from './quote.js';

/** A `checkpoint` error that names the tensors most like the one asked for. */
export function noSuchTensor(name: string, names: Iterable<string>, file: string): FewbitError {
  const near = [...names]
    .map((other) => ({ other, score: likeness(name, other) }))
    .sort((a, b) => b.score - a.score)
    .map(({ other }) => other);
  const hint = near.length > 0 ? `it has ${list(near)}` : 'it has no tensors at all';
  return new FewbitError('checkpoint', `${file} has no tensor ${quote(name)}: ${hint}.`);
}

/** Characters that two names share at their start and end. */
function likeness(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let start = 0;
  while (start < most && a[start] === b[start]) start++;
  let end = 0;
  while (end < most - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  return start + end;
}
