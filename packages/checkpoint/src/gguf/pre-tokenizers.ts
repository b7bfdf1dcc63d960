import { isObject } from '../parse-json.js';

/** How a byte-level BPE cuts text before it merges. llama.cpp knows such rules by the name of a model that has them (`llama-vocab.cpp`). */
interface PreTokenizer {
  /** As it is written; the others name the same rule. */
  readonly pre: string;
  readonly aliases: readonly string[];
  /** What tokenizer.json has before its ByteLevel. */
  readonly stages: readonly object[];
  /** Whether ByteLevel cuts by GPT-2's own expression after them. */
  readonly useRegex: boolean;
  /** A word that is a token is taken whole. */
  readonly ignoreMerges: boolean;
}

const words = (numbers: string) =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
const split = (regex: string) => ({ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false });

const preTokenizers: readonly PreTokenizer[] = [
  { pre: 'gpt-2', aliases: ['phi-2', 'olmo', 'mpt', 'jais'], stages: [], useRegex: true, ignoreMerges: false },
  {
    pre: 'smollm',
    aliases: ['starcoder', 'refact', 'command-r', 'codeshell', 'exaone'],
    stages: [{ type: 'Digits', individual_digits: true }],
    useRegex: true,
    ignoreMerges: false,
  },
  {
    pre: 'llama-bpe',
    aliases: ['llama3', 'llama-v3', 'smaug-bpe'],
    stages: [split(words('\\p{N}{1,3}'))],
    useRegex: false,
    ignoreMerges: true,
  },
  { pre: 'qwen2', aliases: ['deepseek-r1-qwen', 'stablelm2'], stages: [split(words('\\p{N}'))], useRegex: false, ignoreMerges: false },
];

export const preTokenizerNames: readonly string[] = preTokenizers.flatMap(({ pre, aliases }) => [pre, ...aliases]);

/** llama.cpp's name for the `pre_tokenizer` of a tokenizer.json; undefined for one that is not known. */
export function preTokenizerName(json: unknown): string | undefined {
  const stages = flatten(json);
  const last = stages.at(-1);
  if (!isObject(last) || last.type !== 'ByteLevel') return undefined;
  const key = canonical(stages.slice(0, -1), last.use_regex !== false);
  return preTokenizers.find((entry) => canonical(entry.stages, entry.useRegex) === key)?.pre;
}

/** The parts of tokenizer.json that a name of llama.cpp stands for; undefined for one that is not known. */
export function preTokenizerJson(name: string): { readonly preTokenizer: object; readonly ignoreMerges: boolean } | undefined {
  const entry = preTokenizers.find(({ pre, aliases }) => pre === name || aliases.includes(name));
  if (!entry) return undefined;
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: entry.useRegex };
  return {
    preTokenizer: entry.stages.length === 0 ? byteLevel : { type: 'Sequence', pretokenizers: [...entry.stages, byteLevel] },
    ignoreMerges: entry.ignoreMerges,
  };
}

function flatten(json: unknown): unknown[] {
  if (isObject(json) && json.type === 'Sequence' && Array.isArray(json.pretokenizers)) return json.pretokenizers.flatMap(flatten);
  return [json];
}

function canonical(stages: readonly unknown[], useRegex: boolean): string {
  const parts = stages.map((stage) => {
    const { type, pattern, individual_digits: digits, behavior, invert } = stage as Record<string, unknown>;
    return JSON.stringify([type, pattern ?? null, digits ?? null, behavior ?? null, invert ?? false]);
  });
  return [...parts, useRegex].join();
}
