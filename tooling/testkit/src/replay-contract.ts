import { expect, it } from 'vitest';
// By path: these packages test with the testkit, and a dependency back would close a cycle.
import type { Backend } from '../../../packages/kernels/src/index.js';
import { sampleToken } from '../../../packages/kernels/src/index.js';
import { createCache, type KeyValueCache, type Model } from '../../../packages/runtime/src/index.js';

const filters = [{ temperature: 3 }, { temperature: 2, topK: 20, topP: 0.9, minP: 0.01 }];

/** What decoding token by token must do where a backend records ops: give the bits of ops that are written down each time, and record once for a page. */
export function replayContract(tokens: Uint32Array, opened: () => Opened): void {
  it('decoding by recorded steps gives the bits of plain steps, for caches in turns and after a truncation', async ({ skip }) => {
    const { backend, open } = opened();
    if (!backend.record) return skip(`${backend.id} records nothing`);
    const held = backend.bytes;
    const plain = await open(changed(backend, undefined));
    const model = await open(backend);
    const before = backend.bytes;
    const sequences = [tokens, tokens.toReversed()].map((tokens) => ({
      tokens,
      caches: [model, plain].map((of) => createCache(of, { pageTokens: 4 })) as [KeyValueCache, KeyValueCache],
    }));
    const step = async (i: number, at: number) => {
      const { tokens, caches } = sequences[i]!;
      const token = tokens.subarray(at, at + 1);
      const [got, want] = [await model.logits(token, { cache: caches[0] }), await plain.logits(token, { cache: caches[1] })];
      expect(got.data).toEqual(want.data);
    };
    for (let at = 0; at < 10; at++) for (const i of sequences.keys()) await step(i, at);
    for (const length of [9, 5, 4, 0]) {
      for (const { caches } of sequences) for (const cache of caches) cache.truncate(length);
      for (let at = length; at < 11; at++) for (const i of sequences.keys()) await step(i, at);
    }
    for (const { caches } of sequences) for (const cache of caches) cache.close();
    expect(backend.bytes).toBe(before);
    // a cache that outlives its model keeps nothing of it
    const cache = createCache(model);
    await model.logits(tokens.subarray(0, 1), { cache });
    for (const each of [model, plain]) await each.close();
    cache.close();
    expect(backend.bytes).toBe(held);
  });

  it('a batch by recorded steps gives the bits of plain ones, while sequences cross pages, sit out and start again', async ({ skip }) => {
    const { backend, open } = opened();
    if (!backend.record) return skip(`${backend.id} records nothing`);
    const held = backend.bytes;
    let recorded = 0;
    const record: Backend['record'] = (ranges, body) => {
      recorded++;
      return backend.record!(ranges, body);
    };
    const [model, plain] = [await open(changed(backend, record)), await open(changed(backend, undefined))];
    const before = backend.bytes;
    const caches = [model, plain].map((of) => [3, 5, 8].map((pageTokens) => createCache(of, { pageTokens })));
    const step = async (which: readonly number[], at: number) => {
      const [got, want] = await Promise.all(
        [model, plain].map((of, side) => {
          return of.batch(which.map((i) => ({ cache: caches[side]![i]!, tokens: Uint32Array.of(tokens[(at + 3 * i) % tokens.length]!) })));
        }),
      );
      expect(got!.data).toEqual(want!.data);
    };
    for (let at = 0; at < 8; at++) await step([0, 1, 2], at);
    // pages of 3, 5 and 8 tokens begin at 0, 3, 5 and 6
    expect(recorded).toBe(4);
    await step([2, 0], 8);
    for (const side of caches) side[1]!.truncate(2);
    for (let at = 9; at < 13; at++) await step([1, 0, 2], at);
    for (const cache of caches.flat()) cache.close();
    expect(backend.bytes).toBe(before);
    for (const each of [model, plain]) await each.close();
    expect(backend.bytes).toBe(held);
  });

  it('tokens drawn by recorded steps are those of the sampler, for other filters in turns', async ({ skip }) => {
    const { backend, open } = opened();
    if (!backend.record) return skip(`${backend.id} records nothing`);
    const model = await open(backend);
    const [drawn, plain] = [createCache(model, { pageTokens: 4 }), createCache(model, { pageTokens: 4 })];
    for (const [at, token] of tokens.subarray(0, 12).entries()) {
      const draw = { ...filters[at % 3 === 2 ? 1 : 0]!, uniform: (at * 0.379) % 1 };
      const one = Uint32Array.of(token);
      const { data } = await model.logits(one, { cache: plain });
      expect([...(await model.next([{ tokens: one, cache: drawn, draw }]))]).toEqual([sampleToken(data, draw)]);
    }
    for (const cache of [drawn, plain]) cache.close();
    await model.close();
  });

  it('recorded steps say where NaN comes from, as plain ones do', async ({ skip }) => {
    const { backend, open } = opened();
    if (!backend.record) return skip(`${backend.id} records nothing`);
    const model = await open(backend);
    const cache = createCache(model);
    for (const token of tokens.subarray(0, 3)) await model.logits(Uint32Array.of(token), { cache });
    const page = cache.blocks[1]!.values[0]!;
    const damaged = backend.upload(new Float32Array(page.shape[1]!).fill(Number.NaN), [1, page.shape[1]!]);
    backend.ops.store(page, damaged, 2);
    backend.free(damaged);
    const bad = tokens.subarray(3, 4);
    const place = /output of block .*1.* has NaN or Inf at token 3/;
    await expect(model.logits(bad, { cache })).rejects.toThrow(place);
    await expect(model.next([{ tokens: bad, cache, draw: { uniform: 0, temperature: 0 } }])).rejects.toThrow(place);
    expect(cache.length).toBe(3);
    cache.close();
    await model.close();
  });

  it('a step is recorded once for a page, and memory stays the same within it', async ({ skip }) => {
    const { backend, open } = opened();
    if (!backend.record) return skip(`${backend.id} records nothing`);
    let recorded = 0;
    const record: Backend['record'] = (ranges, body) => {
      recorded++;
      return backend.record!(ranges, body);
    };
    const model = await open(changed(backend, record));
    const before = backend.bytes;
    const cache = createCache(model, { pageTokens: 4 });
    await model.logits(tokens.subarray(0, 3), { cache });
    expect(recorded).toBe(0);
    const counts: number[] = [];
    const bytes: number[] = [];
    for (const token of tokens.subarray(3, 12)) {
      await model.logits(Uint32Array.of(token), { cache });
      counts.push(recorded);
      bytes.push(backend.bytes);
    }
    expect(counts).toEqual([1, 2, 2, 2, 2, 3, 3, 3, 3]);
    expect(new Set(bytes.slice(1, 5)).size).toBe(1);
    cache.close();
    expect(backend.bytes).toBe(before);
    await model.close();
  });
}

interface Opened {
  readonly backend: Backend;
  readonly open: (on: Backend) => Promise<Model>;
}

function changed(backend: Backend, record: Backend['record']): Backend {
  return Object.create(backend, { record: { value: record } }) as Backend;
}
