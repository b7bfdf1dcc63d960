import { readFile } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import { FewbitError } from '@fewbit/core';

/**
 * Documents of a text file: a `.txt` or `.raw` file is one document, a `.jsonl` file holds one per line in a string field `text`
 * (empty lines are skipped). Throws `calibration` for a file that is missing, empty, not UTF-8, of another kind, or has a bad line.
 */
export async function readDocuments(path: string): Promise<string[]> {
  const parse = parsers[extname(path).toLowerCase()];
  if (!parse) {
    throw new FewbitError(
      'calibration',
      `${path} is not a text file that Fewbit reads: give a .txt or .raw file, or .jsonl with a field "text".`,
    );
  }
  const documents = parse(decodeUtf8(await readFile(path).catch(unreadable(path)), path), basename(path));
  if (!documents.some((document) => document.length > 0)) {
    throw new FewbitError('calibration', `${path} holds no text: give a file with some.`);
  }
  return documents;
}

const parsers: Readonly<Record<string, (content: string, name: string) => string[]>> = {
  '.txt': (content) => [content],
  '.raw': (content) => [content],
  '.jsonl': parseLines,
};

function parseLines(content: string, name: string): string[] {
  const documents: string[] = [];
  for (const [index, line] of content.split('\n').entries()) {
    if (line.trim() === '') continue;
    documents.push(parseLine(line, `${name} line ${index + 1}`));
  }
  return documents;
}

function parseLine(line: string, at: string): string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new FewbitError('calibration', `${at} is not JSON: ${(cause as Error).message}. Each line must be {"text": "…"}.`, { cause });
  }
  const text = typeof value === 'object' && value !== null ? (value as { text?: unknown }).text : undefined;
  if (typeof text !== 'string') {
    throw new FewbitError('calibration', `${at} has no string field "text": each line must be {"text": "…"}.`);
  }
  return text;
}

function decodeUtf8(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FewbitError('calibration', `${path} is not UTF-8 text: convert it first.`, { cause });
  }
}

function unreadable(path: string) {
  return (cause: unknown): never => {
    throw new FewbitError('calibration', `${path} cannot be read: ${(cause as Error).message}.`, { cause });
  };
}
