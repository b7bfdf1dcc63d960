import { type Backend, referenceBackend } from '@fewbit/kernels';
import { planModel } from '@fewbit/models';
import { fewbitError, goldenModel } from '@fewbit/testkit';
import { expect, it } from 'vitest';
import { createCache } from './index.js';

// two blocks of 2 key-value heads of 8, a context of 64
const plan = planModel(goldenModel('llama').config());
const pageBytes = (pageTokens: number) => 2 * 2 * pageTokens * 16 * 4;

it('takes a page when it needs one, and gives pages back', () => {
  const backend = referenceBackend();
  const cache = createCache({ plan, backend }, { pageTokens: 10 });
  expect([cache.length, cache.capacity, backend.bytes]).toEqual([0, 0, 0]);
  cache.reserve(10);
  cache.advance(Uint32Array.from({ length: 10 }, (_, i) => i));
  expect([cache.length, cache.capacity, backend.bytes]).toEqual([10, 10, pageBytes(10)]);
  cache.reserve(11);
  expect([cache.length, cache.capacity, backend.bytes]).toEqual([10, 30, 3 * pageBytes(10)]);
  cache.advance(Uint32Array.of(7));
  expect(cache.tokens()).toEqual(Uint32Array.of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 7));
  cache.truncate(11);
  expect([cache.length, backend.bytes]).toEqual([11, 2 * pageBytes(10)]);
  cache.truncate(3);
  expect([cache.tokens(), backend.bytes]).toEqual([Uint32Array.of(0, 1, 2), pageBytes(10)]);
  cache.truncate(5);
  expect(cache.length).toBe(3);
  cache.close();
  expect([cache.length, cache.capacity, backend.bytes]).toEqual([0, 0, 0]);
});

it('ends where the context does', () => {
  const backend = referenceBackend();
  const cache = createCache({ plan, backend }, { pageTokens: 10 });
  cache.reserve(64);
  expect(cache.capacity).toBe(64);
  expect(() => cache.reserve(65)).toThrow(fewbitError('usage', /65 tokens are more than this model's context of 64/));
  cache.close();
  // a page is never longer than the context
  const whole = createCache({ plan, backend });
  whole.reserve(1);
  expect([whole.capacity, backend.bytes]).toEqual([64, pageBytes(64)]);
  expect(() => createCache({ plan, backend }, { pageTokens: 0 })).toThrow(
    fewbitError('usage', /pageTokens must be a positive integer, got 0/),
  );
});

it('holds what it held when memory ends', () => {
  const backend = referenceBackend();
  let left = 13;
  const scarce: Backend = {
    ...backend,
    empty(shape) {
      if (left-- === 0) throw new Error('no memory');
      return backend.empty(shape);
    },
  };
  const cache = createCache({ plan, backend: scarce }, { pageTokens: 10 });
  cache.reserve(20);
  cache.advance(new Uint32Array(20));
  expect(() => cache.reserve(20)).toThrow('no memory');
  expect([cache.length, cache.capacity, backend.bytes]).toEqual([20, 20, 2 * pageBytes(10)]);
});
