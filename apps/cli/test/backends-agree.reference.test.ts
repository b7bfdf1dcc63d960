import { join } from 'node:path';
import { openBackend } from '@fewbit/presets';
import { shared, temporaryFolder } from '@fewbit/testkit';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { fewbitJson } from './capture.js';

const models = [
  ['stories-260k', '512'],
  ['babyllama-1m', '256'],
] as const;
const text = shared('data/tinystories/eval.jsonl');
const folder = temporaryFolder();

describe.skipIf(!text).each(models)('perplexity of %s by FEWBIT_BACKEND', (name, context) => {
  const model = shared(`models/${name}`)!;
  const int4 = join(folder, name);
  const perplexities = async (backend: string) => {
    vi.stubEnv('FEWBIT_BACKEND', backend);
    const flags = ['--text', text!, '--protocol', 'document', '--context', context, '--windows', '4'];
    const found: number[] = [];
    for (const each of [model, int4]) found.push((await fewbitJson<{ perplexity: number }>('eval', each, ...flags)).perplexity);
    vi.unstubAllEnvs();
    return found;
  };
  let want: number[];
  beforeAll(async () => {
    await fewbitJson('quantize', model, '-o', int4, '--method', 'rtn', '--format', 'int4', '--group', '32');
    want = await perplexities('reference');
  }, 600_000);

  it.for(['wasm', 'cpu'])("%s: the reference's to 1e-3, float and int4", async (backend, { skip }) => {
    const opened = await openBackend({ backend }).catch(() => skip(`no backend ${backend} here`));
    await opened.backend.close();
    for (const [i, perplexity] of (await perplexities(backend)).entries()) expect(Math.abs(perplexity / want[i]! - 1)).toBeLessThan(1e-3);
  });
});
