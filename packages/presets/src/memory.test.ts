import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { generate } from '@fewbit/runtime';
import { embeddedModel } from '@fewbit/testkit';
import { expect, it } from 'vitest';
import { openBackend, openPretrained } from './index.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Memory in use, once garbage is gone. */
async function used() {
  for (let i = 0; i < 3; i++) {
    collectGarbage();
    // finalizers of native memory run between tasks
    await new Promise(setImmediate);
  }
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  return { heapUsed, arrayBuffers, rss };
}

it('10,000 generated tokens leave memory as it was', async () => {
  const { backend } = await openBackend({ threads: 2 });
  const { model, tokenizer, close } = await openPretrained(embeddedModel, backend);
  const write = async (tokens: number) => {
    for (let left = tokens; left > 0; left -= 250) {
      const stream = generate(model, tokenizer, { prompt: 'It was', eos: [], maxTokens: 250, temperature: 1, topP: 0.9, seed: left });
      let next = await stream.next();
      while (!next.done) next = await stream.next();
      expect(next.value.tokens).toBe(250);
    }
  };
  await write(1000);
  const { bytes } = backend;
  const before = await used();
  await write(10_000);
  const after = await used();
  expect(backend.bytes).toBe(bytes);
  expect(after.heapUsed - before.heapUsed).toBeLessThan(1e6);
  expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(1e6);
  // what V8 and malloc keep for later comes and goes; one row of logits per token would be more
  expect(after.rss - before.rss).toBeLessThan(32e6);
  await close();
  await backend.close();
});
