import { FewbitError } from '@fewbit/core';
import { quote } from '../quote.js';
import type { MetadataReader } from './metadata-values.js';
import { preTokenizerJson, preTokenizerNames } from './pre-tokenizers.js';
import { mergesFromScores, mergesOf, spaceMark } from './sentence-pieces.js';
import { tokenKind } from './tokenizer-to-metadata.js';

/**
 * The texts of the side files that transformers would have, by name. Throws `unsupported` for other tokenizers than `gpt2`, `llama`, and
 * `t5` of single characters.
 */
export function metadataToTokenizer(read: MetadataReader, file: string): ReadonlyMap<string, string> {
  const kind = read.text('tokenizer.ggml.model');
  const texts = read.texts('tokenizer.ggml.tokens');
  if (kind === undefined || kind === 'none' || texts === undefined) return new Map();
  if (kind !== 'gpt2' && kind !== 'llama' && kind !== 't5')
    throw new FewbitError(
      'unsupported',
      `${file}: tokenizer.ggml.model ${quote(kind)} is not supported; gpt2 (byte-level BPE), llama (SentencePiece) and t5 (of single characters) are.`,
    );
  const kinds = perToken(read, 'token_type', texts.length, file) ?? texts.map(() => tokenKind.normal);
  const special = idsOf(read, texts, file);
  const addBos = read.boolean('tokenizer.ggml.add_bos_token') ?? (kind === 'llama' || read.text('tokenizer.ggml.pre') === 'llama-bpe');
  const addEos = read.boolean('tokenizer.ggml.add_eos_token') ?? false;
  const model = kind === 'gpt2' ? byteLevel(read, texts, file) : sentencePiece(read, texts, kinds, special.unk, file);
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(texts, kinds, kind),
    ...model,
    post_processor: postProcessor(addBos ? special.bos : undefined, addEos ? special.eos : undefined, texts, model.post_processor),
  };
  const named = (id: number | undefined) => (id === undefined ? undefined : texts[id]);
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    clean_up_tokenization_spaces: false,
    add_bos_token: addBos,
    add_eos_token: addEos,
    bos_token: named(special.bos),
    eos_token: named(special.eos),
    unk_token: named(special.unk),
    pad_token: named(special.pad),
    chat_template: read.text('tokenizer.chat_template'),
  };
  const ends = [special.eos, special.eot].filter((id) => id !== undefined);
  const generation = { bos_token_id: special.bos, eos_token_id: ends.length > 1 ? [...new Set(ends)] : ends[0] };
  return new Map(
    Object.entries({ 'tokenizer.json': tokenizer, 'tokenizer_config.json': config, 'generation_config.json': generation }).map(
      ([name, json]) => [name, `${JSON.stringify(json, null, 2)}\n`],
    ),
  );
}

function perToken(read: MetadataReader, key: string, count: number, file: string): readonly number[] | undefined {
  const values = read.numbers(`tokenizer.ggml.${key}`);
  if (values && values.length !== count)
    throw new FewbitError('checkpoint', `${file}: tokenizer.ggml.${key} has ${values.length} entries, tokenizer.ggml.tokens ${count}.`);
  return values;
}

type Special = Readonly<Partial<Record<'bos' | 'eos' | 'unk' | 'pad' | 'eot', number>>>;

function idsOf(read: MetadataReader, texts: readonly string[], file: string): Special {
  const pieces = read.text('tokenizer.ggml.model') === 'llama';
  const found = (key: string, fallback: number | undefined) => {
    const id = read.number(`tokenizer.ggml.${key}_token_id`) ?? (fallback !== undefined && fallback < texts.length ? fallback : undefined);
    if (id !== undefined && texts[id] === undefined)
      throw new FewbitError('checkpoint', `${file}: tokenizer.ggml.${key}_token_id is ${id}; there are ${texts.length} tokens.`);
    return id === undefined ? {} : { id };
  };
  // llama.cpp's defaults for SentencePiece
  const { id: bos } = found('bos', pieces ? 1 : undefined) as { id?: number };
  const { id: eos } = found('eos', pieces ? 2 : undefined) as { id?: number };
  const { id: unk } = found('unknown', pieces ? 0 : undefined) as { id?: number };
  const { id: pad } = found('padding', undefined) as { id?: number };
  const { id: eot } = found('eot', undefined) as { id?: number };
  return Object.fromEntries(Object.entries({ bos, eos, unk, pad, eot }).filter(([, id]) => id !== undefined));
}

interface Parts {
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly post_processor: unknown;
  readonly decoder: unknown;
  readonly model: unknown;
}

function bpe(texts: readonly string[], merges: readonly (readonly [string, string])[], more: object) {
  return {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    ...more,
    vocab: Object.fromEntries(texts.map((text, id) => [text, id])),
    merges,
  };
}

function byteLevel(read: MetadataReader, texts: readonly string[], file: string): Parts {
  const pre = read.text('tokenizer.ggml.pre') ?? 'default';
  const found = preTokenizerJson(pre);
  if (!found)
    throw new FewbitError(
      'unsupported',
      `${file}: tokenizer.ggml.pre ${quote(pre)} is not supported; supported are ${preTokenizerNames.join(', ')}.`,
    );
  const stage = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    normalizer: pre === 'qwen2' ? { type: 'NFC' } : null,
    pre_tokenizer: found.preTokenizer,
    post_processor: null,
    decoder: { ...stage, add_prefix_space: true },
    model: bpe(texts, mergesOf(read.texts('tokenizer.ggml.merges')), { ignore_merges: found.ignoreMerges }),
  };
}

function sentencePiece(
  read: MetadataReader,
  texts: readonly string[],
  kinds: readonly number[],
  unk: number | undefined,
  file: string,
): Parts {
  const long = texts.find((text, id) => kinds[id] === tokenKind.normal && [...text].length > 1);
  if (long !== undefined && read.text('tokenizer.ggml.model') === 't5')
    throw new FewbitError(
      'unsupported',
      `${file}: a unigram (t5) tokenizer with pieces like ${quote(long)} is not supported, only one of single characters.`,
    );
  const scores = perToken(read, 'scores', texts.length, file);
  if (!scores) throw new FewbitError('checkpoint', `${file}: a SentencePiece tokenizer has no tokenizer.ggml.scores.`);
  const prefix = read.boolean('tokenizer.ggml.add_space_prefix') ?? true;
  const space = { type: 'Replace', pattern: { String: ' ' }, content: spaceMark };
  return {
    normalizer: { type: 'Sequence', normalizers: [...(prefix ? [{ type: 'Prepend', prepend: spaceMark }] : []), space] },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: spaceMark }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: bpe(texts, mergesFromScores(texts, kinds, scores), {
      unk_token: unk === undefined ? null : texts[unk],
      byte_fallback: kinds.includes(tokenKind.byte),
    }),
  };
}

function addedTokens(texts: readonly string[], kinds: readonly number[], model: string): object[] {
  return texts.flatMap((content, id) => {
    const special = kinds[id] === tokenKind.control || (model !== 'gpt2' && kinds[id] === tokenKind.unknown);
    if (!special && kinds[id] !== tokenKind.userDefined) return [];
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
}

function postProcessor(bos: number | undefined, eos: number | undefined, texts: readonly string[], otherwise: unknown): unknown {
  if (bos === undefined && eos === undefined) return otherwise;
  const special = (id: number | undefined, type: number) => (id === undefined ? [] : [{ SpecialToken: { id: texts[id], type_id: type } }]);
  const around = (sequence: string, type: number) => [
    ...special(bos, type),
    { Sequence: { id: sequence, type_id: type } },
    ...special(eos, type),
  ];
  const tokens = [bos, eos].filter((id) => id !== undefined);
  return {
    type: 'TemplateProcessing',
    single: around('A', 0),
    pair: [...around('A', 0), ...around('B', 1)],
    special_tokens: Object.fromEntries(tokens.map((id) => [texts[id], { id: texts[id], ids: [id], tokens: [texts[id]] }])),
  };
}
