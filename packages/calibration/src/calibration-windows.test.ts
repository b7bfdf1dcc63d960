import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { calibrationWindows, readDocuments } from './index.js';

/** One token per character, after a start token 0. */
const tokenizer = { encode: (text: string) => Uint32Array.from([0, ...Array.from(text, (c) => c.charCodeAt(0))]) };

describe('readDocuments', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fewbit-'));
  });
  afterAll(() => rm(folder, { recursive: true }));
  const file = async (name: string, content: string | Uint8Array) => {
    await writeFile(join(folder, name), content);
    return join(folder, name);
  };

  it('takes a text file as one document and a JSONL file as one per line', async () => {
    expect(await readDocuments(await file('a.txt', 'one\n\ntwo\n'))).toEqual(['one\n\ntwo\n']);
    expect(await readDocuments(await file('a.RAW', 'x'))).toEqual(['x']);
    expect(await readDocuments(await file('a.jsonl', '{"text":"one\\ntwo"}\r\n\n{"id":3,"text":"Ω"}\n'))).toEqual(['one\ntwo', 'Ω']);
  });

  it.each([
    ['bad.jsonl', '{"text":"a"}\n{"text":', /bad\.jsonl line 2 is not JSON/],
    ['field.jsonl', '{"content":"a"}\n', /field\.jsonl line 1 has no string field "text"/],
    ['number.jsonl', '{"text":"a"}\n\n7\n', /number\.jsonl line 3 has no string field/],
    ['empty.txt', '', /holds no text/],
    ['blank.jsonl', '\n\n', /holds no text/],
    ['a.csv', 'text\na', /not a text file that Fewbit reads/],
    ['latin.txt', Uint8Array.of(0x61, 0xe9, 0x62), /not UTF-8/],
  ])('refuses %s', async (name, content, message) => {
    await expect(readDocuments(await file(name, content))).rejects.toMatchObject({
      code: 'calibration',
      message: expect.stringMatching(message),
    });
  });

  it('refuses a missing file', async () => {
    await expect(readDocuments(join(folder, 'none.txt'))).rejects.toMatchObject({ code: 'calibration' });
  });
});

describe('calibrationWindows', () => {
  const documents = ['abc', 'defgh', 'ijklmnopq']; // 4 + 6 + 10 tokens with their start tokens
  const stream = documents.flatMap((document) => [...tokenizer.encode(document)]);
  const windows = (options: object) => calibrationWindows({ documents, tokenizer, ...options });

  it('cuts one stream of all documents', () => {
    expect(windows({ samples: 6, length: 3 }).windows.map((window) => [...window])).toEqual(
      [0, 1, 2, 3, 4, 5].map((i) => stream.slice(3 * i, 3 * i + 3)),
    );
  });

  it('spreads evenly, or takes the first', () => {
    const starts = (options: object) =>
      windows({ samples: 3, length: 2, ...options }).windows.map((window) => stream.join().indexOf(window.join()));
    const at = (index: number) => stream.slice(0, index).join().length + (index > 0 ? 1 : 0);
    expect(starts({ sampling: 'first' })).toEqual([at(0), at(2), at(4)]);
    expect(starts({ sampling: 'spread' })).toEqual([at(0), at(6), at(12)]);
  });

  it('draws different windows by seed, the same for the same seed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 0, max: 2 ** 31 }), (samples, seed) => {
        const text = Array.from({ length: 20 }, (_, i) => String.fromCharCode(i + 1)).join('');
        const options = {
          documents: [text],
          tokenizer: { encode: (s: string) => tokenizer.encode(s).slice(1) },
          length: 1,
          sampling: 'random' as const,
        };
        const drawn = calibrationWindows({ ...options, samples, seed });
        const tokens = drawn.windows.map((window) => window[0]!);
        expect(new Set(tokens).size).toBe(samples);
        expect(tokens).toEqual([...tokens].sort((a, b) => a - b));
        expect(calibrationWindows({ ...options, samples, seed })).toEqual(drawn);
      }),
    );
    const draws = [0, 1, 2, 3].map((seed) => windows({ samples: 5, length: 2, sampling: 'random', seed }).fingerprint);
    expect(new Set(draws).size).toBeGreaterThan(1);
  });

  it('gives every window the same fingerprint only when all are the same', () => {
    const base = windows({ samples: 4, length: 3 });
    expect(base.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    expect(windows({ samples: 4, length: 3, source: 'another name' }).fingerprint).toBe(base.fingerprint);
    expect(windows({ samples: 3, length: 4 }).fingerprint).not.toBe(base.fingerprint);
    expect(windows({ samples: 4, length: 3, sampling: 'first' }).fingerprint).not.toBe(base.fingerprint);
  });

  it('says how many tokens it needs and got', () => {
    expect(() => windows({ samples: 7, length: 3, source: 'a.txt' })).toThrow(/a\.txt gives 20 tokens; 7 windows of 3 need 21/);
    expect(() => windows({ documents: [] })).toThrow(expect.objectContaining({ code: 'calibration' }));
    expect(() => windows({ samples: 0 })).toThrow(expect.objectContaining({ code: 'usage' }));
    expect(() => windows({ length: 2.5 })).toThrow(expect.objectContaining({ code: 'usage' }));
    expect(() => windows({ samples: 1, length: 1, sampling: 'last' as 'first' })).toThrow(/spread, first or random/);
  });
});
