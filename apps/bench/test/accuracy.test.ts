import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { embeddedModel } from '@fewbit/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { accuracyDocument } from '../src/documents.js';
import { fewbitBench, fewbitBenchJson } from './capture.js';

describe('fewbit-bench accuracy', () => {
  let folder: string;
  let text: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fewbit-bench-test-'));
    text = join(folder, 'text.txt');
    await writeFile(text, 'The old house stood at the end of the road, and nobody had lived in it for many years. '.repeat(40));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('compares methods and formats with the float model', async () => {
    const windows = ['--context', '64', '--windows', '2', '--samples', '2', '--length', '64', '--generate', '4'];
    const flags = [
      '--calibration',
      text,
      '--methods',
      'rtn',
      '--formats',
      'int8,int3',
      '--groups',
      '32',
      '--protocols',
      'document,gptq',
      '--backend',
      'wasm',
    ];
    const plot = ['--plot', join(folder, 'plot.svg')];
    const document = accuracyDocument.parse(
      await fewbitBenchJson('accuracy', embeddedModel, '--text', text, ...windows, ...flags, ...plot),
    );
    expect(document).toMatchObject({ model: embeddedModel, text, calibration: text, context: 64, windows: 2, backend: 'wasm', notes: [] });

    const named = Object.fromEntries(document.rows.map((row) => [`${row.method} ${row.format}`, row]));
    expect(Object.keys(named)).toEqual([expect.stringMatching(/^float /), 'rtn int8', 'rtn int3']);
    const float = document.rows[0]!;
    expect([float.kl, float.topOne, float.seconds]).toEqual([undefined, undefined, 0]);
    for (const row of document.rows) expect(Object.keys(row.perplexity).sort()).toEqual(['document', 'gptq']);
    for (const { kl, bytes, group } of document.rows.slice(1)) {
      expect(kl!.mean).toBeGreaterThan(0);
      expect(bytes).toBeLessThan(float.bytes);
      expect(group).toBe(32);
    }
    expect(named['rtn int8']!.kl!.mean).toBeLessThan(named['rtn int3']!.kl!.mean);
    expect(named['rtn int8']!.bitsPerWeight).toBeGreaterThan(named['rtn int3']!.bitsPerWeight);
  });

  it.each([
    [['--methods', 'magic'], 'Unknown method "magic"'],
    [['--formats', 'int4,int1'], 'Unknown format "int1"'],
    [['--protocols', 'mine'], '--protocols mine is unknown'],
    [['--groups', '0'], '0 is not a positive whole number'],
  ])('refuses %j before any work', async (flags, message) => {
    const { code, stdout, stderr } = await fewbitBench('accuracy', embeddedModel, '--text', 'missing.txt', ...flags);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
  });
});
