import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { shared } from '@fewbit/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fewbit, fewbitJson } from './capture.js';

/**
 * The reference results of the shared models (their README: transformers and the published GPTQ code).
 * Each number is [stories-260k document, stories-260k gptq, babyllama-1m document, babyllama-1m gptq].
 */
type Row = readonly [number, number, number, number];

const float: Row = [3.91542, 4.27415, 1.95526, 2.30498];

const rtn: Record<string, Row> = {
  'int4 --group 32 --symmetric': [4.41408, 4.83601, 2.06503, 2.45406],
  'int4 --group 32 --asymmetric': [4.26305, 4.69648, 2.02374, 2.39372],
  'int3 --group 32 --symmetric': [10.05943, 10.94112, 2.63823, 3.11681],
  'int3 --group 32 --asymmetric': [6.97864, 7.58791, 2.39614, 2.82916],
  'int2 --group 32 --asymmetric': [338.5, 352.16, 10.02386, 10.40639],
  'int4 --group -1 --symmetric': [4.53288, 4.96712, 2.11356, 2.49988],
  'int4 --group -1 --asymmetric': [4.38485, 4.79503, 2.0926, 2.48299],
  'int3 --group -1 --asymmetric': [10.57694, 11.23111, 2.91149, 3.49355],
};

/** The best published GPTQ row of the same bits, group and symmetry. */
const gptq: Record<string, Row> = {
  'int4 --group 32 --symmetric': [4.20129, 4.57936, 1.98781, 2.35376],
  'int4 --group 32 --asymmetric': [4.13582, 4.51217, 1.97958, 2.33713],
  'int3 --group 32 --symmetric': [6.47422, 6.98605, 2.14655, 2.58266],
  'int3 --group 32 --asymmetric': [5.47389, 5.87273, 2.09278, 2.49472],
  'int2 --group 32 --asymmetric': [95.29, 98.96, 3.23986, 4.04031],
  'int4 --group -1 --symmetric': [4.32183, 4.71881, 2.00661, 2.38045],
  'int4 --group -1 --asymmetric': [4.23416, 4.61019, 1.99746, 2.37094],
  'int3 --group -1 --asymmetric': [6.54148, 6.99587, 2.23193, 2.67391],
};

const models = [
  { name: 'stories-260k', context: '512', column: 0 },
  { name: 'babyllama-1m', context: '256', column: 2 },
] as const;

const text = shared('data/tinystories/eval.jsonl');
const calibration = shared('data/tinystories/calibration.jsonl');

describe.skipIf(!text || !calibration)('reference results', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fewbit-reference-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const perplexity = async (model: string, protocol: string, context: string) =>
    (await fewbitJson<{ perplexity: number }>('eval', model, '--text', text!, '--protocol', protocol, '--context', context)).perplexity;

  for (const { name, context, column } of models) {
    const model = shared(`models/${name}`)!;

    it(`${name}: float`, async () => {
      expect(Math.abs((await perplexity(model, 'document', context)) - float[column])).toBeLessThan(5e-4);
      expect(Math.abs((await perplexity(model, 'gptq', context)) - float[column + 1]!)).toBeLessThan(5e-4);
    });

    for (const [flags, row] of Object.entries(rtn)) {
      it(`${name}: rtn ${flags}`, async () => {
        const output = join(folder, `${name} rtn ${flags}`.replace(/\W+/g, '-'));
        await fewbitJson('quantize', model, '-o', output, '--method', 'rtn', '--format', ...flags.split(' '));
        expect(Math.abs((await perplexity(output, 'document', context)) / row[column] - 1)).toBeLessThan(2e-4);
        expect(Math.abs((await perplexity(output, 'gptq', context)) / row[column + 1]! - 1)).toBeLessThan(2e-4);
      });
    }

    for (const [flags, row] of Object.entries(gptq)) {
      it(`${name}: gptq ${flags}`, async () => {
        const output = join(folder, `${name} gptq ${flags}`.replace(/\W+/g, '-'));
        const windows = ['--calibration', calibration!, '--samples', '128', '--length', context, '--sampling', 'first'];
        await fewbitJson('quantize', model, '-o', output, '--method', 'gptq', '--format', ...flags.split(' '), ...windows);
        expect(await perplexity(output, 'document', context)).toBeLessThanOrEqual(row[column]);
        expect(await perplexity(output, 'gptq', context)).toBeLessThanOrEqual(row[column + 1]!);
      });
    }

    it(`${name}: goes on as transformers does`, async () => {
      const { stdout, code } = await fewbit(
        'generate',
        model,
        '--prompt',
        'Once upon a time',
        '--max-tokens',
        name === 'stories-260k' ? '30' : '90',
      );
      expect(code).toBe(0);
      expect(stdout).toMatch(/^, there was a little girl named Lily\. She loved to play outside in the /);
    });
  }
});
