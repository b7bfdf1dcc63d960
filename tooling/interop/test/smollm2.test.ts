import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type OpenedBackend, openBackend, type QuantizeJob } from '@fewbit/presets';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLlamaCpp } from '../src/llama-cpp.js';
import { agreeWithLlamaCpp } from '../src/llama-cpp-agreement.js';
import { openSession, type Session } from '../src/open-session.js';
import { subjects } from '../src/subjects.js';
import { hasModule, python } from '../src/transformers.js';
import { agreeWithTransformers, type TransformersTrial } from '../src/transformers-agreement.js';

interface Case extends Pick<TransformersTrial, 'dtype'> {
  readonly recipe: Omit<QuantizeJob, 'model' | 'output' | 'method'>;
  /** Python module without which transformers cannot load it. */
  readonly needs: string;
}

/** A layout of each family. What transformers multiplies in half precision is compared by the weights that its layers hold. */
const cases: Record<string, Case> = {
  'compressed-tensors int4': { recipe: { format: 'int4', group: 64 }, needs: 'compressed_tensors' },
  'compressed-tensors fp8': { recipe: { format: 'fp8' }, needs: 'compressed_tensors' },
  'compressed-tensors mxfp4': { recipe: { format: 'mxfp4' }, needs: 'compressed_tensors', dtype: 'bfloat16' },
  'gptq int4': { recipe: { format: 'int4', group: 64, layout: 'gptq' }, needs: 'gptqmodel', dtype: 'float16' },
  'awq int4': { recipe: { format: 'int4', group: 64, symmetric: false, layout: 'awq' }, needs: 'gptqmodel', dtype: 'float16' },
  'bnb nf4': { recipe: { format: 'nf4', layout: 'bnb' }, needs: 'bitsandbytes' },
};

const subject = subjects['smollm2-135m'];

describe.skipIf(!subject || !python)('SmolLM2-135M in transformers', () => {
  let session: Session;
  beforeAll(async () => {
    session = await openSession();
  });
  afterAll(() => session?.close());

  for (const [title, { recipe, needs, dtype }] of Object.entries(cases)) {
    it.skipIf(!hasModule(needs))(title, async () => {
      const found = await agreeWithTransformers({
        ...session,
        subject: subject!,
        recipe: { method: 'rtn', ...recipe },
        output: session.output(title),
        maxTokens: 12,
        ...(dtype && { dtype, unpacked: true }),
      });
      expect(found.unpacked ?? found.logits).toBeLessThan(2e-3);
      expect(found.greedy.ours).toEqual(found.greedy.theirs);
    });
  }
});

const llamaCpp = subject && (await openLlamaCpp((reason) => console.warn(`llama.cpp does not run here: ${reason}`)));

describe.skipIf(!subject || !llamaCpp)('SmolLM2-135M in llama.cpp', () => {
  let folder: string;
  let opened: OpenedBackend;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fewbit-smollm2-'));
    opened = await openBackend();
  });
  afterAll(async () => {
    await llamaCpp?.close();
    await opened?.backend.close();
    if (folder) await rm(folder, { recursive: true, force: true });
  }, 60_000);

  // llama.cpp rounds inputs to 8 bits where weights are in blocks; the figures are of 95 predictions
  it.each([
    ['q8_0', 5e-3],
    ['q4_0', 1.5e-2],
  ])('%s', async (format, within) => {
    const trial = { subject: subject!, format, output: join(folder, format), backend: opened.backend, llamaCpp: llamaCpp! };
    const found = await agreeWithLlamaCpp({ ...trial, documents: 1, tokens: 96 });
    for (const { ours, theirs } of found.ids) expect(theirs).toEqual(ours);
    expect(found.perplexity).toBeLessThan(within);
    expect(found.sameTopOne).toBeGreaterThan(0.9);
  });
});
