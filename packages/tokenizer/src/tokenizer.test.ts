import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { embeddedModel, fewbitError, shared } from '@fewbit/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadTokenizer, openTokenizer, type Tokenizer } from './index.js';

const read = (folder: string, name: string) => readFileSync(join(folder, name), 'utf8');
const fromFolder = (folder: string) =>
  loadTokenizer({ tokenizerJson: read(folder, 'tokenizer.json'), tokenizerConfig: read(folder, 'tokenizer_config.json') });

/** A vocabulary in the manner of Llama 2: sentencepiece spaces, and bytes for what it lacks. */
const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
const pieces = ['<unk>', '<s>', '</s>', ...bytes, '▁', 'a', 'b', 'é', '▁a', '▁b', 'ab', '▁ab', ',', '\uFFFD'];
const small = {
  added_tokens: pieces
    .slice(0, 3)
    .map((content, id) => ({ id, content, special: true, normalized: false, lstrip: false, rstrip: false, single_word: false })),
  normalizer: {
    type: 'Sequence',
    normalizers: [
      { type: 'Prepend', prepend: '▁' },
      { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    ],
  },
  pre_tokenizer: null,
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
  },
  decoder: {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  },
  model: {
    type: 'BPE',
    byte_fallback: true,
    unk_token: '<unk>',
    vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
    merges: ['▁ a', '▁ b', 'a b', '▁ ab'],
  },
};
const names = { bos_token: '<s>', eos_token: { content: '</s>' } };
const load = (tokenizerJson: unknown, tokenizerConfig: unknown = names, chatTemplate?: string) =>
  loadTokenizer({
    tokenizerJson: typeof tokenizerJson === 'string' ? tokenizerJson : JSON.stringify(tokenizerJson),
    tokenizerConfig: typeof tokenizerConfig === 'string' ? tokenizerConfig : JSON.stringify(tokenizerConfig),
    ...(chatTemplate !== undefined && { chatTemplate }),
  });

interface Case {
  readonly name: string;
  readonly open: (() => Tokenizer) | undefined;
  /** Text that the vocabulary can hold. */
  readonly text: fc.Arbitrary<string>;
}
const anything = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 20 }).filter(isWellFormed),
);
const english = fc.string({ unit: fc.constantFrom(...' etaoinshrdlu.,TM'), maxLength: 40 });
const folder = (name: string) => {
  const path = shared(`models/${name}`);
  return path === undefined ? undefined : () => fromFolder(path);
};
const cases: Case[] = [
  { name: 'byte-level BPE (the embedded model)', open: () => fromFolder(embeddedModel), text: anything },
  { name: 'sentencepiece BPE with byte fallback', open: () => load(small), text: anything },
  { name: 'stories-260k', open: folder('stories-260k'), text: anything },
  { name: 'babyllama-1m', open: folder('babyllama-1m'), text: english },
];

describe.each(cases)('$name', ({ open, text }) => {
  const tokenizer = open?.();
  const property = <T>(arbitrary: fc.Arbitrary<T>, holds: (value: T, tokenizer: Tokenizer) => void) =>
    fc.assert(
      fc.property(arbitrary, (value) => holds(value, tokenizer!)),
      { numRuns: 120, seed: 4 },
    );
  const streamed = ({ stream }: Tokenizer, ids: ArrayLike<number>, options?: { skipSpecialTokens: boolean }) => {
    const { push, end } = stream(options);
    return Array.from(ids, push).join('') + end();
  };

  it.skipIf(!open)('text comes back as it went in', () => {
    property(text, (value, { encode, decode }) => {
      expect(decode(encode(value))).toBe(value);
      expect(decode(encode(value, { addSpecialTokens: false }))).toBe(value);
    });
  });

  it.skipIf(!open)('BOS comes first unless it is not wanted', () => {
    property(text, (value, { encode, bos }) => {
      const plain = encode(value, { addSpecialTokens: false });
      expect(encode(value)).toEqual(Uint32Array.of(bos!, ...plain));
    });
  });

  it.skipIf(!open)('what a stream gives joins to what decode gives, for any ids', () => {
    const id = fc.nat({ max: (tokenizer?.vocabularySize ?? 1) - 1 });
    property(fc.tuple(fc.array(id, { maxLength: 30 }), fc.boolean()), ([ids, skipSpecialTokens], each) => {
      expect(streamed(each, ids, { skipSpecialTokens })).toBe(each.decode(ids, { skipSpecialTokens }));
    });
    property(text, (value, each) => {
      expect(streamed(each, each.encode(value))).toBe(value);
    });
  });

  it.skipIf(!open)('refuses ids that are no tokens', () => {
    for (const id of [-1, 0.5, tokenizer!.vocabularySize, 2 ** 31]) {
      expect(() => tokenizer!.decode([id])).toThrow(fewbitError('usage', new RegExp(`${id} is not a token of this tokenizer \\(0 … `)));
    }
  });
});

describe('a stream', () => {
  it('holds a character back until its last byte is there', () => {
    const { push, end } = load(small).stream();
    const byte = (value: number) => push(3 + value);
    expect([push(262), byte(0xe2), byte(0x82), byte(0xac), push(260), byte(0xf0), byte(0x9f)]).toEqual(['é', '', '', '€', 'a', '', '']);
    expect(end()).toBe('\uFFFD');
  });

  it('takes time linear in its length', () => {
    let decoded = 0;
    const tokenizer = load(small);
    const { push, end } = tokenizer.stream();
    const ids = Array.from({ length: 20_000 }, (_, i) => 259 + (i % 9));
    const start = performance.now();
    for (const id of ids) decoded += push(id).length;
    decoded += end().length;
    expect(decoded).toBe(tokenizer.decode(ids).length);
    expect(performance.now() - start).toBeLessThan(5000);
  });
});

describe('chat templates', () => {
  const messages = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Hé?' },
  ];
  const template =
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}<{{ m.role }}>{{ m.content | trim }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
  const rendered = '<s><system>Be brief.</s><user>Hé?</s>';

  it('come from tokenizer_config.json, one or several by name, or from their own file, which wins', () => {
    const inConfig = load(small, { ...names, chat_template: template });
    expect(inConfig.renderChat!(messages)).toBe(`${rendered}<assistant>`);
    expect(inConfig.renderChat!(messages, { addGenerationPrompt: false })).toBe(rendered);
    const several = [
      { name: 'tool_use', template: 'x' },
      { name: 'default', template },
    ];
    expect(load(small, { ...names, chat_template: several }).renderChat!(messages)).toBe(`${rendered}<assistant>`);
    expect(load(small, { ...names, chat_template: 'config' }, 'file').renderChat!(messages)).toBe('file');
    expect(load(small).renderChat).toBeUndefined();
  });

  it('that do not parse are damaged, that refuse messages say why', () => {
    expect(() => load(small, names, '{% for %}')).toThrow(fewbitError('config', /chat template does not parse: /));
    const { renderChat } = load(small, names, template);
    expect(() => renderChat!([{ role: 'tool', content: '' }])).toThrow(
      fewbitError('usage', /chat template refuses these messages: no tools/),
    );
  });
});

describe('damaged files', () => {
  const directory = (files: Record<string, string>) => ({ text: async (name: string) => files[name] });

  it('a directory without tokenizer.json says so', async () => {
    const missing = fewbitError('config', /has no tokenizer\.json: copy it from the model/);
    await expect(openTokenizer(directory({ 'tokenizer_config.json': '{}' }))).rejects.toThrow(missing);
    const opened = await openTokenizer(directory({ 'tokenizer.json': JSON.stringify(small) }));
    expect(opened.bos).toBeUndefined();
    expect(opened.vocabularySize).toBe(pieces.length);
  });

  const { model, ...rest } = small;
  it.each<[what: string, json: unknown, config: unknown, message: RegExp]>([
    ['no JSON', '{', names, /tokenizer\.json is not JSON/],
    ['a list', '[]', names, /tokenizer\.json must hold a JSON object, got \[\]/],
    ['an empty object', {}, names, /tokenizer\.json cannot be used: /],
    ['no model', rest, names, /tokenizer\.json cannot be used: /],
    ['a model of an unknown type', { ...small, model: { ...model, type: 'Quipu' } }, names, /tokenizer\.json cannot be used: .*Quipu/],
    ['a vocabulary that is no object', { ...small, model: { ...model, vocab: 7 } }, names, /tokenizer\.json cannot be used: /],
    ['no merges', { ...small, model: { ...model, merges: undefined } }, names, /tokenizer\.json cannot be used: /],
    ['an unknown decoder', { ...small, decoder: { type: 'Enigma' } }, names, /tokenizer\.json cannot be used: .*Enigma/],
    ['a config that is no JSON', small, '}', /tokenizer_config\.json is not JSON/],
    ['a BOS that is no token', small, { bos_token: '<begin>' }, /bos_token "<begin>" is not a token/],
    ['an EOS that is a number', small, { eos_token: 2 }, /eos_token 2 is not a token/],
  ])('%s', (_, json, config, message) => {
    expect(() => load(json, config)).toThrow(fewbitError('config', message));
  });

  it('a vocabulary without a token for some text, nor for unknown text, is not whole', () => {
    const words = { type: 'WordPiece', vocab: { a: 0 }, unk_token: '[UNK]', continuing_subword_prefix: '##' };
    const holed = load({ ...small, added_tokens: [], normalizer: null, post_processor: null, decoder: null, model: words }, {});
    expect([...holed.encode('a')]).toEqual([0]);
    expect(() => holed.encode('ba')).toThrow(fewbitError('config', /no token for some of the text/));
  });

  it('any field damaged is refused as ours, or still gives a tokenizer', () => {
    const values = fc.oneof(fc.constant(undefined), fc.jsonValue({ maxDepth: 1 }));
    const field = fc.constantFrom<[string, string?]>(
      ['added_tokens'],
      ['normalizer'],
      ['pre_tokenizer'],
      ['post_processor'],
      ['decoder'],
      ['model'],
      ['model', 'type'],
      ['model', 'vocab'],
      ['model', 'merges'],
      ['model', 'unk_token'],
      ['model', 'byte_fallback'],
    ); // prettier-ignore
    fc.assert(
      fc.property(field, values, ([outer, inner], value) => {
        const source = structuredClone(small) as unknown as Record<string, Record<string, unknown>>;
        if (inner) source[outer]![inner] = value;
        else (source as Record<string, unknown>)[outer] = value;
        try {
          load(source).vocabularySize.toFixed();
        } catch (error) {
          expect(error).toMatchObject({ name: 'FewbitError', code: 'config' });
        }
      }),
      { numRuns: 300, seed: 4 },
    );
  });
});

function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}
