import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { embeddedModel, fileHashes, temporaryFolder } from '@fewbit/testkit';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { fewbit, fewbitJson } from './capture.js';

const root = temporaryFolder();
/** The embedded model's first block and head. */
const oneBlock = join(temporaryFolder(), 'one-block');
const windows = ['--calibration', join(embeddedModel, 'calibration.jsonl'), '--samples', '3', '--length', '32'];
/** Without the search that most of GPTQ's time goes to. */
const quick = ['--method-options', '{"clip":"off"}'];
const quantize = (output: string, ...flags: string[]) => [
  'quantize',
  embeddedModel,
  '-o',
  join(root, output),
  ...windows,
  ...quick,
  ...flags,
];

beforeAll(() => {
  cpSync(embeddedModel, oneBlock, { recursive: true });
  const config = JSON.parse(readFileSync(join(embeddedModel, 'config.json'), 'utf8')) as object;
  writeFileSync(join(oneBlock, 'config.json'), JSON.stringify({ ...config, num_hidden_layers: 1 }));
});

interface Planned {
  memory: { peak: number; limit: number; parts: Record<string, number>; spilled?: { bytes: number; folder: string } };
}

// what a plan starts from, which else comes and goes
vi.spyOn(process.memoryUsage, 'rss').mockReturnValue(100e6);

describe('fewbit quantize --max-memory', () => {
  it('spills what does not fit, says so, and writes the same bytes', async () => {
    const { memory } = await fewbitJson<Planned>(...quantize('none', '--dry-run'));
    expect(memory.spilled).toBeUndefined();
    const limit = memory.peak - 1;
    const plan = await fewbit(...quantize('none', '--dry-run', '--max-memory', `${limit}B`));
    expect(plan.stderr).toMatch(
      /^plan: about [\d.]+ s on \w+, \d+ threads?; about 2\d\d MB of memory at most \(the limit is 2\d\d MB\), with .* MB spilled to a file in .*\n$/,
    );
    const spilled = { bytes: memory.parts.states, folder: root };
    expect((JSON.parse(plan.stdout) as Planned).memory).toMatchObject({ limit, spilled });
    expect(readdirSync(root)).toEqual([]);

    await fewbitJson(...quantize('in-memory'));
    const report = await fewbitJson<{ planned: Planned }>(...quantize('spilled', '--max-memory', `${limit}B`));
    expect(report.planned.memory.spilled).toEqual(spilled);
    expect(fileHashes(join(root, 'spilled'))).toEqual(fileHashes(join(root, 'in-memory')));
    expect(readdirSync(root).toSorted()).toEqual(['in-memory', 'spilled']);
  });

  it('takes sizes in powers of 1000 and of 1024, and nothing else', async () => {
    const limitOf = async (size: string) =>
      (await fewbitJson<Planned>(...quantize('none', '--dry-run', '--max-memory', size))).memory.limit;
    expect(await limitOf('8GB')).toBe(8e9);
    expect(await limitOf('1.5 GiB')).toBe(1.5 * 2 ** 30);
    for (const size of ['8', '8gb', 'GB', '-8GB', '8GBs', '0B', '1e3GB', '0x8GB']) {
      const { code, stderr } = await fewbit(...quantize('none', '--dry-run', `--max-memory=${size}`));
      expect([code, stderr]).toEqual([2, expect.stringContaining(`${size} is no size, such as 8GB (powers of 1000) or 7.5GiB (of 1024).`)]);
    }
  });

  it('refuses before any work what cannot fit', async () => {
    const { code, stderr } = await fewbit(...quantize('refused', '--max-memory', '50MB'));
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /^fewbit: This run takes 2\d\d MB of memory, .* and may take 50\.0 MB \(most of it: garbage 134 MB, .*raise --max-memory\.\n$/,
    );
    expect(readdirSync(root)).not.toContain('refused');
  });
});
