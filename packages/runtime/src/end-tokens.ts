import type { ModelDirectory } from '@fewbit/checkpoint';
import { FewbitError } from '@fewbit/core';

/** Ids that end a generation: `eos_token_id` of generation_config.json, else of config.json; a number or a list. Throws `config` for anything else. */
export async function endTokens(directory: Pick<ModelDirectory, 'config' | 'text'>): Promise<readonly number[]> {
  const text = await directory.text('generation_config.json');
  const generation = text === undefined ? {} : parse(text);
  return idList('generation_config.json', generation.eos_token_id) ?? idList('config.json', directory.config.eos_token_id) ?? [];
}

function parse(text: string): { eos_token_id?: unknown } {
  try {
    return (JSON.parse(text) as { eos_token_id?: unknown } | null) ?? {};
  } catch (cause) {
    throw new FewbitError('config', `generation_config.json is not JSON: ${(cause as Error).message}.`, { cause });
  }
}

function idList(file: string, value: unknown): readonly number[] | undefined {
  if (value === undefined || value === null) return undefined;
  const ids: unknown[] = Array.isArray(value) ? value : [value];
  if (ids.every((id): id is number => Number.isInteger(id))) return ids;
  throw new FewbitError('config', `${file}: eos_token_id must be a token id or a list of them, got ${JSON.stringify(value)}.`);
}
