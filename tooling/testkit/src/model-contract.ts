import { afterAll, beforeAll, describe, expect, it } from 'vitest';
// By path: these packages test with the testkit, and a dependency back would close a cycle.
import { openModelDirectory } from '../../../packages/checkpoint/src/index.js';
import type { ActivationRounding } from '../../../packages/formats/src/index.js';
import type { Backend, BackendProbe } from '../../../packages/kernels/src/index.js';
import { sampleToken } from '../../../packages/kernels/src/index.js';
import { createCache, type Model, type ModelOptions, openModel, openWeights } from '../../../packages/runtime/src/index.js';
import { relativeError } from './backend-contract.js';
import { goldenModels } from './golden-models.js';
import { replayContract } from './replay-contract.js';

const int8: ActivationRounding = {
  spec: {
    format: { kind: 'int', bits: 8, scheme: 'symmetric-full', granularity: { kind: 'channel' }, scaleType: 'F32' },
    scaling: 'dynamic',
  },
};

/** Ways in which caches keep keys and values, and how far logits may be from those of the whole pass. */
const kept: readonly (readonly [string, ModelOptions, number])[] = [
  ['in float32', { keyValues: 'f32' }, 1e-5],
  ['as caches keep them by default', {}, 2e-3],
  // float sums differ in their last bits, and some value lies between two codes
  ['rounded to int8 per token', { keyValues: { keys: int8, values: int8 } }, 1e-2],
];

/** What whole models must do on a backend: agree with transformers, decode as they prefill, and give their memory back. */
export function modelContract(name: string, probe: BackendProbe): void {
  describe.each(goldenModels)(`${name}: $name`, ({ folder, expected }) => {
    const { tokens, logits } = expected();
    let backend: Backend;
    let model: Model;
    beforeAll(async () => {
      const opened = await probe({ threads: 2 });
      if ('unavailable' in opened) throw new Error(opened.unavailable);
      backend = opened;
      model = await open({ keyValues: 'f32' });
    });
    const open = async (options: ModelOptions, on = backend) => {
      const directory = await openModelDirectory(folder);
      try {
        return await openModel(await openWeights(directory), on, options);
      } finally {
        await directory.close();
      }
    };
    afterAll(async () => {
      await model.close();
      expect(backend.bytes).toBe(0);
      await backend.close();
    });

    it('logits agree with those of transformers', async () => {
      const got = await model.logits(tokens);
      expect([got.rows, got.cols]).toEqual([tokens.length, model.plan.vocabulary]);
      expect(relativeError(got.data, logits)).toBeLessThan(1e-4);
    });

    it.each([
      ['token by token', [1]],
      ['in ragged chunks', [5, 1, 2, 9, 1, 3]],
      ['a prefill, then tokens', [tokens.length - 3, 1]],
    ])('decoding with a cache, %s, equals the whole pass', async (_, sizes) => {
      const whole = (await model.logits(tokens)).data;
      const before = backend.bytes;
      const cache = createCache(model, { pageTokens: 7 });
      const rows: number[] = [];
      for (let at = 0, i = 0; at < tokens.length; i++) {
        const size = sizes[Math.min(i, sizes.length - 1)]!;
        rows.push(...(await model.logits(tokens.subarray(at, at + size), { cache })).data);
        at += size;
      }
      expect(cache.length).toBe(tokens.length);
      expect(relativeError(rows, whole)).toBeLessThan(1e-5);
      cache.close();
      expect(backend.bytes).toBe(before);
    });

    it.each(kept.slice(1))('keys and values %s', async (_, options, limit) => {
      const held = backend.bytes;
      const other = await open(options);
      const whole = (await other.logits(tokens)).data;
      const cache = createCache(other, { pageTokens: 7 });
      const rows = [...(await other.logits(tokens.subarray(0, 6), { cache })).data];
      for (const token of tokens.subarray(6)) rows.push(...(await other.logits(Uint32Array.of(token), { cache })).data);
      expect(relativeError(rows, whole)).toBeLessThan(limit);
      cache.close();
      await other.close();
      expect(backend.bytes).toBe(held);
    });

    it.each(kept)(
      'a batch of sequences at different positions gives each what it gets alone: keys and values %s',
      async (_, options, limit) => {
        const held = backend.bytes;
        const other = await open(options);
        const before = backend.bytes;
        /** Lengths of the runs that each sequence is fed in, turn by turn; 0: it sits the turn out. */
        const turns = [
          [5, 1, 0],
          [1, 9, 2],
          [0, 1, 1],
          [1, 1, 6],
        ];
        const sequences = Array.from({ length: 3 }, (_, i) => ({
          tokens: tokens.toReversed().map((token) => (token + i) % other.plan.vocabulary),
          cache: createCache(other, { pageTokens: 4 + i }),
          ownCache: createCache(other),
        }));
        for (const turn of turns) {
          const batch = sequences.flatMap(({ tokens, cache }, i) =>
            turn[i] === 0 ? [] : [{ cache, tokens: tokens.subarray(cache.length, cache.length + turn[i]!) }],
          );
          const { data, rows, cols } = await other.batch(batch);
          expect([rows, cols]).toEqual([batch.length, other.plan.vocabulary]);
          const fed = sequences.filter((_, i) => turn[i] !== 0);
          for (const [row, { tokens, cache, ownCache }] of fed.entries()) {
            const alone = { cache: ownCache, lastOnly: true };
            const want = await other.logits(tokens.subarray(ownCache.length, cache.length), alone);
            expect(relativeError(data.subarray(row * cols, (row + 1) * cols), want.data)).toBeLessThan(limit);
          }
        }
        expect(sequences.map(({ cache }) => cache.length)).toEqual([7, 12, 9]);
        for (const { cache, ownCache } of sequences) for (const each of [cache, ownCache]) each.close();
        expect(backend.bytes).toBe(before);
        await other.close();
        expect(backend.bytes).toBe(held);
      },
    );

    it('next draws for several sequences at once, each as it asks', async () => {
      const sequences = [{ temperature: 0 }, { temperature: 2, topK: 9 }, { temperature: 3, topP: 0.8, minP: 0.01 }].map((filters, i) => ({
        tokens: tokens.subarray(i, i + 4),
        cache: createCache(model),
        draw: { ...filters, uniform: 0.3 + 0.2 * i },
      }));
      const drawn = await model.next(sequences);
      for (const [i, { tokens, draw, cache }] of sequences.entries()) {
        const { data } = await model.logits(tokens, { lastOnly: true });
        expect(drawn[i]).toBe(sampleToken(data, draw));
        expect(cache.tokens()).toEqual(tokens);
        cache.close();
      }
    });

    replayContract(tokens, () => ({ backend, open: (on) => open({}, on) }));

    it('score and logitChunks are the whole pass, too', async () => {
      const { data, cols } = await model.logits(tokens.subarray(0, -1));
      const chunks: number[] = [];
      for await (const chunk of model.logitChunks(tokens.subarray(0, -1), 4)) chunks.push(...chunk.data);
      expect(relativeError(chunks, data.subarray(4 * cols))).toBeLessThan(1e-5);
      const losses = Array.from({ length: tokens.length - 5 }, (_, i) => {
        const row = Array.from(data.subarray((i + 4) * cols, (i + 5) * cols));
        return Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[tokens[i + 5]!]!;
      });
      expect(relativeError(await model.score(tokens, 4), losses)).toBeLessThan(1e-5);
    });
  });
}
