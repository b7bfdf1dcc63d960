import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openModelDirectory } from '@fewbit/checkpoint';
import type { Backend } from '@fewbit/kernels';
import { wasmProbe } from '@fewbit/kernels-wasm';
import { layouts, quantizePretrained } from '@fewbit/presets';
import { generate, openModel, openWeights } from '@fewbit/runtime';
import { embeddedModel } from '@fewbit/testkit';
import { openTokenizer } from '@fewbit/tokenizer';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { browserExample, bundlePages } from '../src/browser/bundle-page.js';
import { openChromium } from '../src/browser/open-chromium.js';
import type { checks } from '../src/browser/page.js';
import { serve } from '../src/browser/serve.js';
import { relativeDistance } from '../src/compare.js';

const backend = await wasmProbe({ threads: 2 });
if ('unavailable' in backend) throw new Error(backend.unavailable);
const browser = await openChromium();
const quantized = await mkdtemp(join(tmpdir(), 'fewbit-browser-'));
afterAll(async () => {
  await browser?.close();
  await backend.close();
  await rm(quantized, { recursive: true, force: true });
});

/** Of products in float32 and of inputs rounded to 16 bits; as in the contract that every backend meets. */
const tolerance: Readonly<Record<string, number>> = { floats: 2e-6, codes: 6e-5, attention: 2e-6 };
const prompt = 'The people of the United';
const tokens = Array.from({ length: 40 }, (_, i) => 5 + ((i * 31) % 400));

describe.skipIf(!browser)('Chromium', () => {
  let files: Awaited<ReturnType<typeof bundlePages>>;
  beforeAll(async () => {
    files = await bundlePages();
    const job = { model: embeddedModel, output: join(quantized, 'int4'), method: 'rtn', format: 'int4', group: 32 };
    await quantizePretrained(job, { backend });
  }, 300_000);

  describe.each([
    ['cross-origin isolated', true],
    ['not isolated', false],
  ])('a page that is %s', (_, isolated) => {
    let page: Page;
    let server: Awaited<ReturnType<typeof serve>>;
    const errors: string[] = [];
    beforeAll(async () => {
      server = await serve({ files, folders: { model: embeddedModel, int4: join(quantized, 'int4') }, isolated });
      page = await browser!.newPage();
      page.on('pageerror', ({ message }) => errors.push(message));
      await page.goto(`${server.url}/checks`);
      await page.waitForFunction(() => 'checks' in globalThis);
    });
    afterAll(async () => {
      await page.close();
      await server.close();
      expect(errors).toEqual([]);
    });

    it.each([1, 2])('multiplies and attends as the reference does, %s threads asked for', async (threads) => {
      const got = await page.evaluate((options) => (globalThis as unknown as Checks).checks.kernels(options), { threads });
      expect(got.isolated).toBe(isolated);
      expect(got.threads).toBe(isolated ? threads : 1);
      expect(got.deferred).toBe(isolated);
      if (isolated) expect(got.turns).toBeGreaterThan(5);
      if (isolated) expect(got.description).not.toContain('no worker threads');
      else expect(got.description).toMatch(/1 thread; no worker threads: the page is not cross-origin isolated/);
      expect(Object.keys(got.distances)).toHaveLength(6);
      for (const [name, distance] of Object.entries(got.distances)) expect(distance, name).toBeLessThan(tolerance[name.split(' ')[0]!]!);
    });

    it.each(['model', 'int4'])('runs the checkpoint %s with the logits and the text that Node.js gives', async (name) => {
      const options = { url: `${server.url}/${name}`, threads: 2, tokens, prompt };
      const got = await page.evaluate((given) => (globalThis as unknown as Checks).checks.model(given), options);
      const want = await inNode(name === 'model' ? embeddedModel : join(quantized, name), backend);
      expect(relativeDistance(Float32Array.from(got.logits), want.logits)).toBeLessThan(1e-5);
      expect(got.text).toBe(want.text);
    });

    it("runs the README's example", async () => {
      const [, prints] = /console\.log\(.*\); \/\/ (.*)$/m.exec(browserExample())!;
      const example = await browser!.newPage();
      example.on('pageerror', ({ message }) => errors.push(message));
      const printed = example.waitForEvent('console', (message) => message.type() === 'log');
      await example.goto(`${server.url}/example`);
      expect((await printed).text().trim()).toBe(prints);
      await example.close();
    });
  });
});

interface Checks {
  checks: typeof checks;
}

async function inNode(path: string, on: Backend): Promise<{ logits: Float32Array; text: string }> {
  const directory = await openModelDirectory(path);
  const model = await openModel(await openWeights(directory, layouts), on);
  const { data } = await model.logits(Uint32Array.from(tokens));
  let text = '';
  for await (const piece of generate(model, await openTokenizer(directory), { prompt, maxTokens: 24 })) text += piece;
  await model.close();
  await directory.close();
  return { logits: data, text };
}
