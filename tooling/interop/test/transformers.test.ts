import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readDocuments } from '@fewbit/calibration';
import { scoredWindows } from '@fewbit/eval';
import { openBackend, openPretrained, type QuantizeJob, quantizePretrained } from '@fewbit/presets';
import { embeddedModel, shared } from '@fewbit/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { greedy, relativeDistance } from '../src/compare.js';
import { python, startTransformers, type Transformers } from '../src/transformers.js';

/** What each case writes, by a short name: what the pinned transformers reads. It refuses ragged groups and one int8 scale per tensor. */
const recipes: Record<string, Omit<QuantizeJob, 'model' | 'output'>> = {
  'int4 g32 symmetric': { method: 'rtn', format: 'int4', group: 32 },
  'int4 g32 asymmetric': { method: 'rtn', format: 'int4', group: 32, symmetric: false },
  'int4 per channel': { method: 'rtn', format: 'int4', group: -1 },
  'int3 g32 asymmetric': { method: 'rtn', format: 'int3', group: 32 },
  'int2 g32 asymmetric': { method: 'rtn', format: 'int2', group: 32 },
  'int8 g32': { method: 'rtn', format: 'int8', group: 32 },
  'int8 per channel': { method: 'rtn', format: 'int8', group: -1 },
};

const models: Record<string, { path: string; text: string; prompt: string } | undefined> = {
  embedded: { path: embeddedModel, text: join(embeddedModel, 'held-out.jsonl'), prompt: 'The people of the United States' },
  'babyllama-1m': atShared('models/babyllama-1m'),
};

function atShared(model: string) {
  const path = shared(model);
  const text = shared('data/tinystories/eval.jsonl');
  return path && text ? { path, text, prompt: 'Once upon a time' } : undefined;
}

describe.skipIf(!python)('transformers with compressed-tensors', () => {
  let folder: string;
  let backend: Awaited<ReturnType<typeof openBackend>>['backend'];
  let transformers: Transformers;
  beforeAll(async () => {
    transformers = startTransformers();
    folder = await mkdtemp(join(tmpdir(), 'fewbit-interop-'));
    ({ backend } = await openBackend());
  });
  afterAll(async () => {
    await transformers?.close();
    await backend?.close();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  for (const [name, model] of Object.entries(models)) {
    for (const [title, recipe] of Object.entries(recipes)) {
      it.skipIf(!model)(`${name}: ${title}`, async () => {
        const { path, text, prompt } = model!;
        const output = join(folder, `${name} ${title}`.replace(/\W+/g, '-'));
        await quantizePretrained({ ...recipe, model: path, output }, { backend });
        const { model: ours, tokenizer, close } = await openPretrained(output, backend);
        const encode = (part: string, addSpecialTokens: boolean) => tokenizer.encode(part, { addSpecialTokens });
        const windows = scoredWindows(await readDocuments(text), { protocol: 'gptq', context: 128, encode }).slice(0, 12);
        const ids = windows[0]!.tokens;
        const start = encode(prompt, true);
        const theirs = await transformers.run({
          model: output,
          ids,
          prompt: start,
          max_tokens: 24,
          windows: windows.map(({ tokens }) => tokens),
        });

        const logits = await ours.logits(ids);
        expect(relativeDistance(logits.data, theirs.logits)).toBeLessThan(1e-3);
        expect(await greedy(ours, start, 24)).toEqual(theirs.greedy);
        let loss = 0;
        let count = 0;
        for (const { tokens } of windows) {
          for (const nll of await ours.score(tokens)) {
            loss += nll;
            count++;
          }
        }
        expect(Math.abs(Math.exp(loss / count) / Math.exp(theirs.nll) - 1)).toBeLessThan(1e-3);
        await close();
      });
    }
  }
});
