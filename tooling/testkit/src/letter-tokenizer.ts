// By path: the tokenizer tests with the testkit, and a dependency back would close a cycle.
import type { Tokenizer } from '../../../packages/tokenizer/src/index.js';

/** One token per character: id 0 is BOS, 1 EOS, 2 … `vocabularySize` − 1 the characters from 'A' on, others wrapped around into them. */
export function letterTokenizer(vocabularySize = 64): Tokenizer {
  const decode: Tokenizer['decode'] = (ids) => Array.from(ids, (id) => (id < 2 ? '' : String.fromCharCode(id + 63))).join('');
  const letters = vocabularySize - 2;
  const idOf = (letter: string) => 2 + ((((letter.charCodeAt(0) - 65) % letters) + letters) % letters);
  return {
    vocabularySize,
    bos: 0,
    eos: 1,
    encode: (text, { addSpecialTokens = true } = {}) => Uint32Array.from([...(addSpecialTokens ? [0] : []), ...Array.from(text, idOf)]),
    decode,
    stream: () => ({ push: (id) => decode([id]), end: () => '' }),
  };
}
