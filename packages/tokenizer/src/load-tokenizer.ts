import { FewbitError } from '@fewbit/core';
import { Tokenizer as Library } from '@huggingface/tokenizers';
import { chatRenderer } from './chat-renderer.js';
import { parseJson } from './parse-json.js';
import { textStream } from './text-stream.js';
import type { Tokenizer, TokenizerFiles } from './types.js';

/**
 * A tokenizer from the texts of its files, over `@huggingface/tokenizers`. Text comes back as the tokenizer's own decoder
 * writes it: no clean-up of spaces. Throws `config` for files that are damaged or of a kind that the library does not know.
 */
export function loadTokenizer({ tokenizerJson, tokenizerConfig = '{}', chatTemplate }: TokenizerFiles): Tokenizer {
  const config = parseJson('tokenizer_config.json', tokenizerConfig);
  const library = openLibrary(parseJson('tokenizer.json', tokenizerJson), config);
  const special = new Set([...library.get_added_tokens_decoder()].filter(([, token]) => token.special).map(([id]) => id));
  const vocabularySize = 1 + [...library.get_vocab().values()].reduce((largest, id) => Math.max(largest, id), -1);
  const bos = idOf(config.bos_token, 'bos_token', library);
  const eos = idOf(config.eos_token, 'eos_token', library);
  const renderChat = chatRenderer(config, chatTemplate);

  const decode: Tokenizer['decode'] = (ids, { skipSpecialTokens = true } = {}) => {
    const kept: number[] = [];
    for (const id of Array.from(ids)) {
      if (library.id_to_token(id) === undefined) {
        throw new FewbitError('usage', `${id} is not a token of this tokenizer (0 … ${vocabularySize - 1}).`);
      }
      if (!(skipSpecialTokens && special.has(id))) kept.push(id);
    }
    return kept.length === 0 ? '' : library.decode(kept, { skip_special_tokens: false, clean_up_tokenization_spaces: false });
  };

  return {
    vocabularySize,
    ...(bos !== undefined && { bos }),
    ...(eos !== undefined && { eos }),
    encode(text, { addSpecialTokens = true } = {}) {
      const { ids } = library.encode(text, { add_special_tokens: addSpecialTokens });
      // the library's types forget the text that a vocabulary without unknown token cannot hold
      if (ids.some((id: number | undefined) => id === undefined)) {
        throw new FewbitError(
          'config',
          'The tokenizer has no token for some of the text, and no unknown token: tokenizer.json is not whole.',
        );
      }
      return Uint32Array.from(ids);
    },
    decode,
    stream: ({ skipSpecialTokens = true } = {}) =>
      textStream(
        (ids) => decode(ids, { skipSpecialTokens }),
        (id) => skipSpecialTokens && special.has(id),
      ),
    ...(renderChat && { renderChat }),
  };
}

function openLibrary(json: Record<string, unknown>, config: Record<string, unknown>): Library {
  try {
    checkModel(json.model);
    return new Library({ added_tokens: [], ...json }, config);
  } catch (cause) {
    throw new FewbitError('config', `tokenizer.json cannot be used: ${(cause as Error).message}. Take the model's own file, unchanged.`, {
      cause,
    });
  }
}

const modelTypes = ['BPE', 'Unigram', 'WordPiece'];

/** What the library takes for some other kind of vocabulary instead of refusing it. Files of 2020 have no type. */
function checkModel(model: unknown): void {
  const { type = 'BPE', vocab } = (model ?? {}) as { type?: unknown; vocab?: unknown };
  if (!modelTypes.includes(type as string))
    throw new Error(`its model has type ${JSON.stringify(type)}, which is none of ${modelTypes.join(', ')}`);
  if (typeof vocab !== 'object' || vocab === null) throw new Error('its model has no vocabulary');
}

/** The id of a token that tokenizer_config.json names as text or as `{ content }`. */
function idOf(token: unknown, field: string, library: Library): number | undefined {
  if (token === undefined || token === null) return undefined;
  const content = typeof token === 'object' ? (token as { content?: unknown }).content : token;
  const id = typeof content === 'string' ? library.token_to_id(content) : undefined;
  if (id === undefined) {
    throw new FewbitError('config', `tokenizer_config.json: ${field} ${JSON.stringify(token)} is not a token of tokenizer.json.`);
  }
  return id;
}
