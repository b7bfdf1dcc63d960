import { FewbitError } from '@fewbit/core';
import { quote } from '../quote.js';
import type { ModelMetadata } from './config-to-metadata.js';
import { type MappedName, namings, toGgufName } from './tensor-names.js';
import { tensorTypes } from './types.js';

/** A tensor's name in the file, and its block type where it comes in one. */
export interface Place {
  readonly mapped: MappedName;
  readonly type: string | undefined;
}

/** Where the tensors of a model go in its GGUF file. Those that llama.cpp computes by itself go nowhere. Throws `unsupported`, naming it, for another without a place. */
export function ggufPlaces(
  names: Iterable<string>,
  { architecture, plan }: Pick<ModelMetadata, 'architecture' | 'plan'>,
): ReadonlyMap<string, Place> {
  const places = new Map<string, Place>();
  const all = [...names];
  // the first published GPT-2 has no prefix
  const root = all.some((name) => name.startsWith('wte.weight')) ? 'transformer.' : '';
  for (const name of all) {
    // a tied head is the embedding, which llama.cpp takes for it by itself
    if ((plan.head.tied && name.startsWith('lm_head.')) || constant.test(name)) continue;
    const { full, type } = blockType(name);
    const mapped = toGgufName(namings[architecture]!, `${root}${full}`);
    if (!mapped) throw new FewbitError('unsupported', `Tensor ${quote(name)} has no place in a GGUF file of architecture ${architecture}.`);
    places.set(name, { mapped, type });
  }
  return places;
}

/** GPT-2's masks, and the rotary frequencies that older programs saved. */
const constant = /\.attn\.(masked_)?bias$|\.rotary_emb\.inv_freq$/;

/** `${module}.weight.q4_k` is a weight in blocks. */
function blockType(name: string): { full: string; type: string | undefined } {
  const match = /^(.*\.weight)\.([a-z0-9_]+)$/.exec(name);
  return match && Object.hasOwn(tensorTypes, match[2]!) ? { full: match[1]!, type: match[2]! } : { full: name, type: undefined };
}
