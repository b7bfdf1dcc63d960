import { FewbitError } from '@fewbit/core';

/** A JSON object. Throws `config`, naming the file, for anything else. */
export function parseJson(file: string, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FewbitError('config', `${file} is not JSON: ${(cause as Error).message}. Take the model's own file, unchanged.`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new FewbitError('config', `${file} must hold a JSON object, got ${text.slice(0, 40)}.`);
  }
  return value as Record<string, unknown>;
}
