import { join } from 'node:path';
import { createCache } from '@fewbit/runtime';
import { embeddedModel, temporaryFolder } from '@fewbit/testkit';
import { describe, expect, it, vi } from 'vitest';
import { openBackend, openPretrained, quantizePretrained } from './index.js';

const folder = temporaryFolder();
const quantized = join(folder, 'int4');
await quantizePretrained({ method: 'rtn', format: 'int4', group: 32, model: embeddedModel, output: quantized }, await openBackend());
const text = 'Once upon a time there was a little fox who lived by the river. One day he found a red ball in the grass and took it home.';

/** What a backend chosen by FEWBIT_BACKEND computes by default; undefined where this machine has none. */
async function measure(name: string, model: string) {
  vi.stubEnv('FEWBIT_BACKEND', name);
  const opened = await openBackend().catch(() => undefined);
  vi.unstubAllEnvs();
  if (!opened) return undefined;
  const { backend } = opened;
  expect(backend.id).toBe(name);
  const loaded = await openPretrained(model, backend);
  const tokens = Uint32Array.from(loaded.tokenizer.encode(text)).subarray(0, 24);
  const cache = createCache(loaded.model);
  const prefill = await loaded.model.logits(tokens.subarray(0, 16), { cache });
  const rows = [...prefill.data];
  for (const token of tokens.subarray(16)) rows.push(...(await loaded.model.logits(Uint32Array.of(token), { cache })).data);
  cache.close();
  const losses = await loaded.model.score(tokens, 1);
  await loaded.close();
  await backend.close();
  return { logits: rows, perplexity: Math.exp(losses.reduce((sum, loss) => sum + loss, 0) / losses.length) };
}

it('an empty FEWBIT_BACKEND counts as unset', async () => {
  const chosen = async (name: string | undefined) => {
    vi.stubEnv('FEWBIT_BACKEND', name);
    const { backend } = await openBackend({ threads: 1 });
    vi.unstubAllEnvs();
    await backend.close();
    return backend.id;
  };
  expect(await chosen('')).toBe(await chosen(undefined));
});

describe.each([
  ['float', embeddedModel],
  ['int4', quantized],
])('FEWBIT_BACKEND, %s', async (_, model) => {
  const want = (await measure('reference', model))!;
  for (const name of ['wasm', 'cpu']) {
    const got = await measure(name, model);
    it.skipIf(!got)(`${name}: logits as the reference's to 1e-3, perplexity to 1e-3`, () => {
      const most = want.logits.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
      const worst = got!.logits.reduce((largest, value, i) => Math.max(largest, Math.abs(value - want.logits[i]!)), 0);
      expect(got!.logits.length).toBe(want.logits.length);
      expect(worst / most).toBeLessThan(1e-3);
      expect(Math.abs(got!.perplexity / want.perplexity - 1)).toBeLessThan(1e-3);
    });
  }
});
