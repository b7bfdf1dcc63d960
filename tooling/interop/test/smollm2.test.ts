import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { copyCompanions, createModelDirectory, openModelDirectory } from '@fewbit/checkpoint';
import { type OpenedBackend, openBackend, type QuantizeJob, quantizePretrained } from '@fewbit/presets';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { halfCacheBackend, openAsLlamaCpp } from '../src/as-llama-cpp.js';
import { relativeDistance } from '../src/compare.js';
import { openLlamaCpp } from '../src/llama-cpp.js';
import { agreeWithLlamaCpp } from '../src/llama-cpp-agreement.js';
import { openSession, type Session } from '../src/open-session.js';
import { subjects } from '../src/subjects.js';
import { hasModule, python } from '../src/transformers.js';
import { agreeWithTransformers, type TransformersTrial } from '../src/transformers-agreement.js';

interface Case extends Pick<TransformersTrial, 'dtype' | 'decodes'> {
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
  'gptq-v2 int4 asymmetric': {
    recipe: { format: 'int4', group: 64, symmetric: false, layout: 'gptq-v2' },
    needs: 'gptqmodel',
    dtype: 'float16',
  },
  'awq int4': { recipe: { format: 'int4', group: 64, symmetric: false, layout: 'awq' }, needs: 'gptqmodel', dtype: 'float16' },
  'bnb nf4': { recipe: { format: 'nf4', layout: 'bnb' }, needs: 'bitsandbytes' },
  'bnb fp4 nested': { recipe: { format: 'fp4', doubleQuantization: true, layout: 'bnb' }, needs: 'bitsandbytes' },
  'Hugging Face FP8': {
    recipe: { format: 'fp8', granularity: 'block', group: 64, layout: 'fp8' },
    needs: 'transformers',
    decodes: true,
  },
};

const subject = subjects['smollm2-135m'];

describe.skipIf(!subject || !python)('SmolLM2-135M in transformers', () => {
  let session: Session;
  beforeAll(async () => {
    session = await openSession();
  });
  afterAll(() => session?.close(), 60_000);

  for (const [title, { recipe, needs, dtype, decodes = false }] of Object.entries(cases)) {
    it.skipIf(!hasModule(needs))(title, async () => {
      const found = await agreeWithTransformers({
        ...session,
        subject: subject!,
        recipe: { method: 'rtn', ...recipe },
        output: session.output(title),
        maxTokens: 12,
        decodes,
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

  const trial = (format: string) => ({
    ...{ subject: subject!, format, output: join(folder, format), backend: opened.backend, llamaCpp: llamaCpp! },
    tokens: 512,
  });

  it('f16: the same perplexity', async () => {
    const found = await agreeWithLlamaCpp({ ...trial('f16'), predictions: 500 });
    for (const { ours, theirs } of found.ids) expect(theirs).toEqual(ours);
    expect(found.perplexity).toBeLessThan(1e-3);
    expect(found.sameTopOne).toBeGreaterThan(0.99);
  });

  // losses of single tokens differ by 0.1 nats either way as rounding has it, so that over 1,000 of them 3e-3 is chance
  it.each(['q8_0', 'q4_0', 'q4_k_m'])(
    '%s: the same perplexity, inputs rounded as it rounds them',
    async (format) => {
      const found = await agreeWithLlamaCpp({ ...trial(format), predictions: 1000, alike: true });
      for (const { ours, theirs } of found.ids) expect(theirs).toEqual(ours);
      const { perplexity, standardError } = found.alike!;
      expect(perplexity).toBeLessThan(5e-3 + standardError);
      expect(standardError).toBeLessThan(5e-3);
      expect(found.perplexity).toBeLessThan(1e-2);
      expect(found.sameTopOne).toBeGreaterThan(0.93);
    },
    1_200_000,
  );

  // At a first token attention gives the value itself, and nothing is left that the programs do differently but halves: of values in half
  // precision one in 500 lies there when it is rounded, and goes another way by the processor's instructions. Some tokens have none.
  it('one block computes the same to the last bits where 8-bit inputs and a half-precision cache are imitated, but for values at a half', async () => {
    const float = join(folder, 'one-block');
    await firstBlocks(subject!.path, float, 1);
    for (const format of ['f32', 'q8_0', 'q4_0', 'q4_k_m']) {
      const output = join(folder, `one-block-${format}`);
      await quantizePretrained({ layout: 'gguf', method: 'rtn', format, model: float, output }, { backend: opened.backend });
      const ours = await openAsLlamaCpp(output, halfCacheBackend());
      const theirs = await llamaCpp!.open(join(output, 'model.gguf'), 64);
      const distances: number[] = [];
      for (let token = 504; token < 40_000; token += 3001) {
        const [their] = await theirs.logits([token]);
        distances.push(relativeDistance(their!, (await ours.logits(Uint32Array.of(token))).data));
      }
      distances.sort((a, b) => a - b);
      expect(distances[2], format).toBeLessThan(1e-6);
      expect(distances.at(-1), format).toBeLessThan(2e-2);
      await theirs.close();
      await ours.close();
    }
  });
});

/** A model of the first `count` blocks of another. */
async function firstBlocks(path: string, output: string, count: number): Promise<void> {
  const from = await openModelDirectory(path);
  const writer = await createModelDirectory(output);
  for (const name of from.checkpoint.tensors.keys()) {
    if (Number(/\.layers\.(\d+)\./.exec(name)?.[1] ?? 0) < count) await writer.write(name, await from.checkpoint.read(name));
  }
  await writer.file('config.json', JSON.stringify({ ...from.config, num_hidden_layers: count }));
  await copyCompanions(from, writer);
  await writer.commit();
  await from.close();
}
