import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatNames } from '@fewbit/presets';
import { embeddedModel } from '@fewbit/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { accuracyDocument } from '../src/documents.js';
import { worseThanRtn } from '../src/measure-accuracy.js';
import { usualRecipes } from '../src/usual-recipes.js';
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

  it('takes the usual formats that are named, by a whole label or its first words', async () => {
    const flags = [
      '--usual',
      '--formats',
      'int4 g64,q4_0,mxfp8',
      '--context',
      '32',
      '--windows',
      '1',
      '--generate',
      '4',
      '--backend',
      'wasm',
    ];
    const { rows } = accuracyDocument.parse(await fewbitBenchJson('accuracy', embeddedModel, '--text', text, ...flags));
    expect(rows.slice(1).map(({ format, group, variant }) => [format, group, variant])).toEqual([
      ['int4', 64, undefined],
      ['q4_0', null, 'gguf'],
      ['mxfp8', 32, undefined],
      ['mxfp8', 32, 'inputs mxfp8'],
    ]);
  });

  it('adds rows with weights kept beside the codes', async () => {
    const flags = ['--usual', '--formats', 'int3 g16 two-level', '--outliers', '0,1%', '--context', '32', '--windows', '1'];
    const document = await fewbitBenchJson('accuracy', embeddedModel, '--text', text, ...flags, '--generate', '4', '--backend', 'wasm');
    const { rows } = accuracyDocument.parse(document);
    const [, plain, kept] = rows;
    expect(rows.slice(1).map(({ format, group, variant }) => [format, group, variant])).toEqual([
      ['int3', 16, 'two-level'],
      ['int3', 16, 'two-level outliers 1%'],
    ]);
    // a half and a byte or two for an outlier, and as much for each row
    expect(kept!.bitsPerWeight - plain!.bitsPerWeight).toBeGreaterThan(0.24);
    expect(kept!.bitsPerWeight - plain!.bitsPerWeight).toBeLessThan(0.45);
    expect(kept!.kl!.mean).toBeLessThan(plain!.kl!.mean);
  });

  it('says where a method does worse than rounding to nearest', () => {
    const row = {
      method: 'rtn',
      format: 'int4',
      group: 32,
      bitsPerWeight: 4.5,
      bytes: 1,
      standardError: {},
      decodeTokensPerSecond: 1,
      seconds: 1,
    };
    const rows = [
      { ...row, perplexity: { document: 5 } },
      { ...row, method: 'gptq', perplexity: { document: 4.5 } },
      { ...row, variant: 'asymmetric', perplexity: { document: 4 } },
      { ...row, variant: 'asymmetric', method: 'gptq', perplexity: { document: 4.2 } },
    ];
    expect(worseThanRtn(rows, 'document')).toEqual(['gptq int4 g32 asymmetric is worse than rtn: 4.2000 against 4.0000 (document)']);
  });

  it('knows every format at its usual granularity', () => {
    const families = new Set(usualRecipes.map(({ format }) => format));
    // the others are there for completeness
    for (const format of formatNames.filter((name) => !/^(int7|codebook[5-8])$/.test(name))) expect(families).toContain(format);
    const labels = usualRecipes.map(({ format, group, variant }) => [format, group, variant].join());
    expect(new Set(labels).size).toBe(labels.length);
  });

  it.each([
    [['--methods', 'magic'], 'Unknown method "magic"'],
    [['--formats', 'int4,int1'], 'Unknown format "int1"'],
    [['--protocols', 'mine'], '--protocols mine is unknown'],
    [['--usual', '--groups', '32'], '--usual has groups of its own'],
    [['--usual', '--formats', 'q4_0,int4 g65'], '--usual has no int4 g65. Choose of: int8, int8 inputs int8, int8 g128'],
    [['--sampling', 'last'], 'sampling'],
    [['--groups', '0'], '0 is not a positive whole number'],
    [['--outliers', '0,half'], 'half is no share, such as 0.5% or 0.005'],
  ])('refuses %j before any work', async (flags, message) => {
    const { code, stdout, stderr } = await fewbitBench(
      'accuracy',
      embeddedModel,
      '--text',
      'missing.txt',
      '--calibration',
      'missing.txt',
      ...flags,
    );
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
  });
});
