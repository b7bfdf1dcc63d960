import { linears, type ModelPlan, planModel } from '@fewbit/models';
import { parseJsonObject } from '../parse-json.js';
import type { ModelDirectory } from '../types.js';
import type { Heads } from './change-values.js';
import { configToMetadata, type ModelMetadata } from './config-to-metadata.js';
import { ggufPlaces } from './gguf-places.js';
import { scalar } from './metadata-values.js';
import { headsOf } from './open-gguf-model.js';
import { tokenizerToMetadata } from './tokenizer-to-metadata.js';
import type { GgufValue } from './types.js';

export type DescribedModel = ModelMetadata & { readonly config: Readonly<Record<string, unknown>>; readonly heads: Heads };

/** What a GGUF file says of a model and its tokenizer. */
export interface DescribedGguf {
  readonly model: DescribedModel;
  readonly tokenizer: { readonly entries: ReadonlyMap<string, GgufValue>; readonly notes: readonly string[] };
}

/** The metadata that say what the side files of a model directory say, by their texts. Throws `unsupported` for what llama.cpp would not run the same. */
export function describeGguf(config: Readonly<Record<string, unknown>>, texts: ReadonlyMap<string, string>): DescribedGguf {
  const model = { ...configToMetadata(config), config, heads: headsOf(config) };
  return { model, tokenizer: describeTokenizer(texts, model) };
}

/** Throws, from the side files of a model and its tensors' names, what `createGgufFile` would throw once all tensors are written. */
export async function checkGguf({ config, checkpoint, text }: ModelDirectory): Promise<void> {
  const texts = new Map<string, string>();
  for (const name of tokenizerFiles) {
    const content = await text(name);
    if (content !== undefined) texts.set(name, content);
  }
  const { model } = describeGguf(config, texts);
  ggufPlaces(decodedNames(planModel(config, checkpoint.tensors), checkpoint.tensors.keys()), model);
}

/** A weight in codes, of any layout, is one tensor in the file; scales of keys and values have none. */
function decodedNames(plan: ModelPlan, names: Iterable<string>): ReadonlySet<string> {
  const tables = [plan.embedding.tokens, plan.head.weight].map((name) => name.replace(/\.weight$/, ''));
  const modules = [...linears(plan).map(({ module }) => module), ...tables];
  const owner = (name: string) => modules.find((module) => name.startsWith(`${module}.`) && name !== `${module}.bias`);
  const decoded = [...names].flatMap((name) => {
    const module = owner(name);
    return module ? `${module}.weight` : /\.(k|v|kv)_(scale|zero|zero_point)$/.test(name) ? [] : name;
  });
  return new Set(decoded);
}

const tokenizerFiles = ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'] as const;

function describeTokenizer(texts: ReadonlyMap<string, string>, { plan }: DescribedModel): DescribedGguf['tokenizer'] {
  const tokenizer = texts.get('tokenizer.json');
  if (tokenizer === undefined) {
    return {
      entries: new Map<string, GgufValue>([['tokenizer.ggml.model', scalar('string', 'none')]]),
      notes: ['The model has no tokenizer.json: the file holds no tokenizer, and llama.cpp can only be given token ids.'],
    };
  }
  const template = texts.get('chat_template.jinja');
  return tokenizerToMetadata(
    {
      tokenizer: jsonOf(tokenizer, 'tokenizer.json'),
      config: jsonOf(texts.get('tokenizer_config.json') ?? '{}', 'tokenizer_config.json'),
      ...(template !== undefined && { chatTemplate: template }),
    },
    plan.vocabulary,
  );
}

export function jsonOf(text: string, file: string): Record<string, unknown> {
  return parseJsonObject(new TextEncoder().encode(text), file, 'config');
}
