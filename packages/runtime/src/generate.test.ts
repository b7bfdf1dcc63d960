import { openModelDirectory } from '@fewbit/checkpoint';
import type { Backend } from '@fewbit/kernels';
import { fewbitError, goldenModel, letterTokenizer } from '@fewbit/testkit';
import { describe, expect, it, vi } from 'vitest';
import { eachWithGoldenLlama } from '../test/golden-llama.js';
import { createCache, type GenerateOptions, type GenerateSummary, generate, type Model, openModel, openWeights } from './index.js';

const tokenizer = letterTokenizer();
let backend: Backend;
let model: Model;
let loaded: number;
eachWithGoldenLlama((opened) => {
  ({ backend, model, loaded } = opened);
});

async function run(options: Partial<GenerateOptions>): Promise<GenerateSummary & { pieces: string[] }> {
  const stream = generate(model, tokenizer, { prompt: 'HELLO', eos: [], ...options });
  const pieces: string[] = [];
  for (;;) {
    const { done, value } = await stream.next();
    if (done) return { ...value, pieces };
    pieces.push(value);
  }
}

/** Greedy decoding without cache or stream. */
async function greedily(prompt: string, count: number): Promise<number[]> {
  const ids = [...tokenizer.encode(prompt)];
  for (let i = 0; i < count; i++) {
    const { data } = await model.logits(Uint32Array.from(ids), { lastOnly: true });
    ids.push(data.indexOf(Math.max(...data)));
  }
  return ids.slice(-count);
}

describe('generate', () => {
  it('is greedy decoding, and its pieces join to its text', async () => {
    const want = await greedily('HELLO', 20);
    const { text, tokens, promptTokens, finish, cachedTokens, pieces, ...speeds } = await run({ maxTokens: 20 });
    expect(text).toBe(tokenizer.decode(want));
    expect(pieces.join('')).toBe(text);
    expect({ tokens, promptTokens, finish, cachedTokens }).toEqual({ tokens: 20, promptTokens: 6, finish: 'length', cachedTokens: 0 });
    expect(speeds.prefillTokensPerSecond).toBeGreaterThan(0);
    expect(speeds.decodeTokensPerSecond).toBeGreaterThan(0);
    expect(await run({ prompt: tokenizer.encode('HELLO'), maxTokens: 20 })).toMatchObject({ text });
  });

  it('one token takes no decoding', async () => {
    expect(await run({ maxTokens: 1 })).toMatchObject({ tokens: 1, decodeTokensPerSecond: 0, finish: 'length' });
  });

  it('ends before an end token, given or of the tokenizer', async () => {
    const want = await greedily('HELLO', 20);
    const end = want[7]!;
    const before = want.indexOf(end);
    expect(await run({ eos: [end] })).toMatchObject({ text: tokenizer.decode(want.slice(0, before)), tokens: before, finish: 'eos' });
    const { eos: _, ...withoutEos } = { prompt: 'HELLO', eos: [] };
    const ending = generate(model, { ...tokenizer, eos: want[0]! }, withoutEos);
    expect(await ending.next()).toMatchObject({ done: true, value: { text: '', tokens: 0, finish: 'eos' } });
  });

  it('ends where the context does', async () => {
    // 60 tokens of the prompt, then 4 are fed back; a fifth is drawn
    expect(await run({ prompt: 'A'.repeat(59), maxTokens: 100 })).toMatchObject({ promptTokens: 60, tokens: 5, finish: 'context' });
    expect(await run({ prompt: 'A'.repeat(62), maxTokens: 100 })).toMatchObject({ promptTokens: 63, tokens: 2, finish: 'context' });
  });

  it('memory holds the cache and nothing more, however many tokens come', async () => {
    const stream = generate(model, tokenizer, { prompt: 'HELLO', eos: [], maxTokens: 58 });
    await stream.next();
    const held = backend.bytes;
    for (let next = await stream.next(); !next.done; next = await stream.next()) expect(backend.bytes).toBe(held);
  });

  it('a consumer that leaves, and one that aborts, get the memory back', async () => {
    for await (const _ of generate(model, tokenizer, { prompt: 'HELLO', eos: [] })) break;
    expect(backend.bytes).toBe(loaded);
    for (const after of [0, 1, 5]) {
      const controller = new AbortController();
      let count = 0;
      const stopped = async () => {
        if (after === 0) controller.abort();
        for await (const _ of generate(model, tokenizer, { prompt: 'HELLO', eos: [], signal: controller.signal })) {
          if (++count === after) controller.abort('enough');
        }
      };
      await expect(stopped()).rejects.toThrow(fewbitError('cancelled', /Generation stopped/));
      expect(count).toBe(after);
      expect(backend.bytes).toBe(loaded);
    }
  });

  it('runs only what a cache does not hold', async () => {
    const cache = createCache(model, { pageTokens: 8 });
    const first = await run({ cache, maxTokens: 10 });
    expect(cache.length).toBe(15); // the last token was not run
    const longer = [...cache.tokens(), 5, 6];
    for (const [prompt, cachedTokens] of [
      [longer, 15],
      [longer, 16],
      [longer.slice(0, 9), 8],
      [[...longer.slice(0, 6), 9, 9, 9], 6],
      [[3, 4], 0],
    ] as const) {
      const got = await run({ cache, prompt: Uint32Array.from(prompt), maxTokens: 3 });
      expect(got).toMatchObject({ cachedTokens, promptTokens: prompt.length });
      expect(got.text).toBe((await run({ prompt: Uint32Array.from(prompt), maxTokens: 3 })).text);
    }
    expect((await run({ cache, maxTokens: 10 })).text).toBe(first.text);
    cache.close();
  });

  it('stops between the chunks of a long prompt, and may go on from there', async () => {
    const config = { ...goldenModel('llama').config(), max_position_embeddings: 1024 };
    const directory = await openModelDirectory(goldenModel('llama').folder);
    const long = await openModel(await openWeights({ ...directory, config }), backend);
    await directory.close();
    const cache = createCache(long);
    const controller = new AbortController();
    const prompt = Uint32Array.from({ length: 700 }, (_, i) => i % 64);
    const { ops } = backend;
    // the signal fires while the first of three chunks runs
    const embed = vi.spyOn(ops, 'embed').mockImplementationOnce((table, tokens) => {
      controller.abort();
      return ops.embed(table, tokens);
    });
    const stopped = generate(long, tokenizer, { prompt, eos: [], cache, signal: controller.signal });
    await expect(stopped.next()).rejects.toThrow(fewbitError('cancelled', /Generation stopped/));
    embed.mockRestore();
    expect(cache.length).toBe(264);
    const stream = generate(long, tokenizer, { prompt, eos: [], cache, maxTokens: 1 });
    let next = await stream.next();
    while (!next.done) next = await stream.next();
    expect(next.value).toMatchObject({ cachedTokens: 264, promptTokens: 700 });
    cache.close();
    await long.close();
  });

  it.each<[string, Partial<GenerateOptions>, RegExp]>([
    ['an empty prompt', { prompt: new Uint32Array() }, /The prompt has no tokens/],
    ['a prompt that fills the context', { prompt: 'A'.repeat(63) }, /The prompt has 64 tokens; with a context of 64 at most 63 leave room/],
    ['ids beyond the vocabulary', { prompt: Uint32Array.of(1, 64) }, /Token 64 at place 1 is not in the model's vocabulary of 64/],
    ['no tokens to write', { maxTokens: 0 }, /maxTokens must be a positive integer, got 0/],
    ['a wrong temperature', { temperature: -1 }, /temperature must be/],
  ])('refuses %s', async (_, options, message) => {
    await expect(run(options)).rejects.toThrow(fewbitError('usage', message));
  });
});

describe('a model', () => {
  it('refuses tokens that do not fit it', async () => {
    await expect(model.logits(new Uint32Array(65))).rejects.toThrow(
      fewbitError('usage', /65 tokens are more than this model's context of 64/),
    );
    await expect(model.logits(new Uint32Array())).rejects.toThrow(fewbitError('usage', /no tokens to run/));
    await expect(model.score(Uint32Array.of(1, 64, 1))).rejects.toThrow(fewbitError('usage', /Token 64 at place 1/));
    await expect(model.score(Uint32Array.of(1, 2, 3), 2)).rejects.toThrow(
      fewbitError('usage', /first scored place 2 is not among the 2 inputs/),
    );
  });

  it('refuses batches that it cannot run, and leaves their caches as they were', async () => {
    const cache = createCache(model);
    const other = createCache(model);
    const tokens = Uint32Array.of(1);
    const refused = (batch: Parameters<Model['batch']>[0], message: RegExp) =>
      expect(model.batch(batch)).rejects.toThrow(fewbitError('usage', message));
    await refused([], /no sequences/);
    await refused(
      [
        { tokens, cache },
        { tokens, cache },
      ],
      /share a cache/,
    );
    await refused(
      [
        { tokens, cache },
        { tokens: Uint32Array.of(1, 64), cache: other },
      ],
      /Token 64 at place 1/,
    );
    await refused([{ tokens: new Uint32Array(), cache }], /no tokens to run/);
    expect([cache.length, other.length]).toEqual([0, 0]);
    cache.close();
    other.close();
  });
});
