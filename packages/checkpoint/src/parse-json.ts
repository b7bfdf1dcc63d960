import { type ErrorCode, FewbitError } from '@fewbit/core';
import { quote } from './quote.js';

/** Parses a file's bytes as a JSON object. Throws `code` for what is not UTF-8, not JSON or no object. */
export function parseJsonObject(bytes: Uint8Array, file: string, code: ErrorCode): Record<string, unknown> {
  return parse(decodeUtf8(bytes, file, code), file, code);
}

/** As `parseJsonObject`, and refuses keys given twice at any depth, of which JSON.parse would keep the last. */
export function parseStrictJsonObject(bytes: Uint8Array, file: string, code: ErrorCode): Record<string, unknown> {
  const text = decodeUtf8(bytes, file, code);
  const value = parse(text, file, code);
  const key = repeatedKey(text);
  if (key !== undefined) throw new FewbitError(code, `${file}: the key ${quote(key)} is given twice in one object: the file is damaged.`);
  return value;
}

export function decodeUtf8(bytes: Uint8Array, file: string, code: ErrorCode): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FewbitError(code, `${file} is not UTF-8 text: it is damaged, or another kind of file.`, { cause });
  }
}

function parse(text: string, file: string, code: ErrorCode): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FewbitError(code, `${file} is not JSON: ${(cause as Error).message}.`, { cause });
  }
  if (!isObject(value)) throw new FewbitError(code, `${file} must be a JSON object, got ${quote(value)}.`);
  if (isDeeper(value, mostNested)) {
    throw new FewbitError(code, `${file} nests its values more than ${mostNested} deep: it is damaged, or made to do harm.`);
  }
  return value;
}

/** No file of a model nests deeper than ten; what recurses over a value, such as JSON.stringify, must not overflow the stack. */
const mostNested = 100;

function isDeeper(value: unknown, most: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return most === 0 || Object.values(value).some((inner) => isDeeper(inner, most - 1));
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The first key that valid JSON repeats within one object. */
function repeatedKey(json: string): string | undefined {
  const open: Set<string>[] = [];
  for (let at = 0; at < json.length; at++) {
    const char = json[at];
    if (char === '{') open.push(new Set());
    else if (char === '}') open.pop();
    else if (char === '"') {
      const end = closingQuote(json, at);
      if (followedByColon(json, end)) {
        const key = JSON.parse(json.slice(at, end + 1)) as string; // "\u0061" and "a" are one key
        const keys = open.at(-1)!;
        if (keys.has(key)) return key;
        keys.add(key);
      }
      at = end;
    }
  }
  return undefined;
}

function closingQuote(json: string, opening: number): number {
  let at = opening + 1;
  while (json[at] !== '"') at += json[at] === '\\' ? 2 : 1;
  return at;
}

function followedByColon(json: string, end: number): boolean {
  let at = end + 1;
  while (json[at] === ' ' || json[at] === '\n' || json[at] === '\r' || json[at] === '\t') at++;
  return json[at] === ':';
}
