import { FewbitError } from '@fewbit/core';
import { loadTokenizer } from './load-tokenizer.js';
import type { Tokenizer } from './types.js';

/** The tokenizer of a model directory, given the texts of its files by name. Throws `config` when it has no tokenizer.json. */
export async function openTokenizer(directory: { text(name: string): Promise<string | undefined> }): Promise<Tokenizer> {
  const [tokenizerJson, tokenizerConfig, chatTemplate] = await Promise.all(
    ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'].map((name) => directory.text(name)),
  );
  if (tokenizerJson === undefined) {
    throw new FewbitError(
      'config',
      'The model directory has no tokenizer.json: copy it from the model, or save it with a fast tokenizer of transformers.',
    );
  }
  return loadTokenizer({
    tokenizerJson,
    ...(tokenizerConfig !== undefined && { tokenizerConfig }),
    ...(chatTemplate !== undefined && { chatTemplate }),
  });
}
