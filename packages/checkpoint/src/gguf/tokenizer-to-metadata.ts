import { FewbitError } from '@fewbit/core';
import { isObject } from '../parse-json.js';
import { quote } from '../quote.js';
import { list, scalar } from './metadata-values.js';
import { preTokenizerName } from './pre-tokenizers.js';
import { mergeScores, mergesOf, spaceMark } from './sentence-pieces.js';
import type { GgufValue } from './types.js';

export interface TokenizerJsons {
  /** tokenizer.json and tokenizer_config.json, parsed. */
  readonly tokenizer: Record<string, unknown>;
  readonly config: Record<string, unknown>;
  /** chat_template.jinja, where there is one. */
  readonly chatTemplate?: string;
}

/** Kinds of tokens, `llama_token_type`. */
export const tokenKind = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/**
 * The tokenizer keys of llama.cpp for a BPE tokenizer: byte-level ones as `gpt2`, those over characters with U+2581 for a space as `llama`
 * (SentencePiece), whose scores stand for the order of the merges, or as `t5` (unigram) where all pieces are single characters. `vocabulary` is the number of rows of the embedding. Throws
 * `unsupported` for tokenizers of another kind, `config` for damaged ones.
 */
export function tokenizerToMetadata(
  { tokenizer, config, chatTemplate }: TokenizerJsons,
  vocabulary: number,
): { entries: ReadonlyMap<string, GgufValue>; notes: readonly string[] } {
  const model = isObject(tokenizer.model) ? tokenizer.model : {};
  if (model.type !== 'BPE' && !(model.type === undefined && Array.isArray(model.merges)))
    throw new FewbitError('unsupported', `A ${quote(model.type)} tokenizer has no place in GGUF that Fewbit writes; BPE ones have.`);
  if (!isObject(model.vocab)) throw new FewbitError('config', 'tokenizer.json: model.vocab must be an object.');
  const added = addedTokens(tokenizer.added_tokens);
  const pieces = isSentencePiece(tokenizer);
  const texts = tokenTexts(model.vocab as Record<string, unknown>, added, vocabulary);
  const ids = new Map(texts.map((text, id) => [text, id]));
  const unknown = ids.get(String(model.unk_token ?? tokenText(config.unk_token)));
  const kinds = texts.map((text, id) => kindOf(text, added.get(id), pieces, id === unknown));
  const notes: string[] = [];
  const entries = new Map<string, GgufValue>();
  const set = (key: string, value: GgufValue) => entries.set(`tokenizer.ggml.${key}`, value);

  const merges = mergesOf(model.merges);
  if (!pieces && merges.length === 0)
    throw new FewbitError('unsupported', 'tokenizer.json: model.merges is empty; llama.cpp loads no byte-level BPE without merges.');
  // llama.cpp's SentencePiece tokenizer ends the process for a character that is neither a token nor bytes; its unigram one has a token for it
  const characters = pieces && merges.length === 0 && !kinds.includes(tokenKind.byte);
  if (characters)
    notes.push('llama.cpp takes neighbouring characters that this vocabulary does not have for one unknown token; Fewbit for one each.');
  set('model', scalar('string', characters ? 't5' : pieces ? 'llama' : 'gpt2'));
  set('pre', scalar('string', pieces ? 'default' : preName(tokenizer.pre_tokenizer, notes)));
  set(
    'tokens',
    list(
      'string',
      texts.map((text, id) => (kinds[id] === tokenKind.userDefined && pieces ? text.replaceAll(spaceMark, ' ') : text)),
    ),
  );
  if (pieces) set('scores', list('f32', mergeScores(texts, kinds, merges)));
  set('token_type', list('i32', kinds));
  if (!pieces)
    set(
      'merges',
      list(
        'string',
        merges.map((pair) => pair.join(' ')),
      ),
    );
  for (const [field, key] of idKeys) {
    const id = ids.get(tokenText(config[field]) ?? '');
    if (id !== undefined) set(key, scalar('u32', id));
  }
  const [first, last] = templateEnds(tokenizer.post_processor);
  set('add_bos_token', scalar('bool', config.add_bos_token === true || (first !== undefined && first === tokenText(config.bos_token))));
  set('add_eos_token', scalar('bool', config.add_eos_token === true || (last !== undefined && last === tokenText(config.eos_token))));
  if (pieces) set('add_space_prefix', scalar('bool', prependsSpace(tokenizer)));
  const template = chatTemplate ?? defaultTemplate(config.chat_template);
  if (template !== undefined) entries.set('tokenizer.chat_template', scalar('string', template));
  return { entries, notes };
}

const idKeys = [
  ['bos_token', 'bos_token_id'],
  ['eos_token', 'eos_token_id'],
  ['unk_token', 'unknown_token_id'],
  ['pad_token', 'padding_token_id'],
] as const;

function preName(json: unknown, notes: string[]): string {
  const name = preTokenizerName(json);
  if (name !== undefined) return name;
  notes.push(
    'The way this tokenizer cuts text into words (pre_tokenizer) has no name that Fewbit knows in llama.cpp: tokenizer.ggml.pre is "default", and llama.cpp may cut some texts otherwise.',
  );
  return 'default';
}

/** No ByteLevel anywhere, and U+2581 for a space. */
function isSentencePiece(tokenizer: Record<string, unknown>): boolean {
  const text = JSON.stringify([tokenizer.pre_tokenizer, tokenizer.normalizer, tokenizer.decoder]);
  if (text.includes('"ByteLevel"')) return false;
  if (text.includes(spaceMark)) return true;
  throw new FewbitError(
    'unsupported',
    'This tokenizer is neither byte-level nor of the SentencePiece kind: GGUF has no place for it that Fewbit knows.',
  );
}

function prependsSpace({ normalizer, pre_tokenizer: preTokenizer }: Record<string, unknown>): boolean {
  const parts = [normalizer, preTokenizer].flatMap((part) =>
    isObject(part)
      ? [
          part,
          ...(Array.isArray(part.normalizers) ? part.normalizers : []),
          ...(Array.isArray(part.pretokenizers) ? part.pretokenizers : []),
        ]
      : [],
  );
  return parts.some(
    (part) =>
      isObject(part) &&
      (part.type === 'Prepend' ||
        (part.type === 'Metaspace' &&
          (part.prepend_scheme === undefined ? part.add_prefix_space !== false : part.prepend_scheme !== 'never'))),
  );
}

function addedTokens(json: unknown): ReadonlyMap<number, AddedToken> {
  const tokens = (Array.isArray(json) ? json : []) as AddedToken[];
  for (const { id, content } of tokens) {
    if (!Number.isInteger(id) || typeof content !== 'string')
      throw new FewbitError('config', `tokenizer.json: added token ${quote(content)} has id ${quote(id)}.`);
  }
  return new Map(tokens.map((token) => [token.id, token]));
}

/** Texts by id, with names for the ids that the vocabulary leaves out: all must differ. */
function tokenTexts(vocab: Record<string, unknown>, added: ReadonlyMap<number, AddedToken>, vocabulary: number): string[] {
  const texts: string[] = Array.from({ length: vocabulary }, (_, id) => `[PAD${id}]`);
  const place = (text: string, id: unknown) => {
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= vocabulary)
      throw new FewbitError('config', `tokenizer.json: token ${quote(text)} has id ${quote(id)}; the model has ${vocabulary} embeddings.`);
    texts[id as number] = text;
  };
  for (const [text, id] of Object.entries(vocab)) place(text, id);
  for (const { content, id } of added.values()) place(content, id);
  const seen = new Set<string>();
  for (const text of texts) {
    if (seen.has(text)) throw new FewbitError('unsupported', `Two tokens have the text ${quote(text)}, which llama.cpp does not load.`);
    seen.add(text);
  }
  return texts;
}

function kindOf(text: string, added: AddedToken | undefined, pieces: boolean, isUnknown: boolean): number {
  if (pieces && isUnknown) return tokenKind.unknown;
  if (added) return added.special ? tokenKind.control : tokenKind.userDefined;
  if (pieces && /^<0x[0-9A-F]{2}>$/.test(text)) return tokenKind.byte;
  return /^\[PAD\d+\]$/.test(text) ? tokenKind.unused : tokenKind.normal;
}

/** The special tokens that a post-processor puts before and after a text. */
function templateEnds(json: unknown): [string | undefined, string | undefined] {
  const templates = isObject(json) && Array.isArray(json.processors) ? json.processors : [json];
  const template = templates.find((part) => isObject(part) && part.type === 'TemplateProcessing') as { single?: unknown } | undefined;
  const single = (Array.isArray(template?.single) ? template.single : []) as { SpecialToken?: { id: string } }[];
  return [single.at(0)?.SpecialToken?.id, single.length > 1 ? single.at(-1)?.SpecialToken?.id : undefined];
}

/** A token named as text or as `{ content }`. */
function tokenText(token: unknown): string | undefined {
  const content = isObject(token) ? token.content : token;
  return typeof content === 'string' ? content : undefined;
}

function defaultTemplate(field: unknown): string | undefined {
  if (typeof field === 'string') return field;
  const found = Array.isArray(field) ? (field as { name?: string; template?: string }[]).find(({ name }) => name === 'default') : undefined;
  return found?.template;
}
