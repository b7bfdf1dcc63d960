import { FewbitError } from '@fewbit/core';
import { expect, it } from 'vitest';
import { referenceProbe } from './reference-backend.js';
import { selectBackend } from './select-backend.js';

const broken = { id: 'broken', probe: async () => ({ unavailable: 'no such device' }) };
const reference = { id: 'reference', probe: referenceProbe };

it('takes the first backend that is available and keeps the reasons of the others', async () => {
  const { backend, refused } = await selectBackend([broken, reference], { threads: 1 });
  expect(backend.id).toBe('reference');
  expect(refused).toEqual([{ id: 'broken', reason: 'no such device' }]);
});

it('takes the one asked for, or says why not', async () => {
  expect((await selectBackend([broken, reference], { backend: 'reference', threads: 1 })).refused).toEqual([]);
  const code = (options: { backend?: string; threads: number }) =>
    selectBackend([broken, reference], options).then(
      () => 'none',
      (error) => (FewbitError.is(error) ? `${error.code}: ${error.message}` : 'another error'),
    );
  expect(await code({ backend: 'broken', threads: 1 })).toBe(
    "backend: No backend could be opened (broken: no such device). Choose 'auto' for the fastest that runs here.",
  );
  expect(await code({ backend: 'cuda', threads: 1 })).toMatch(/^usage: .*'cuda'.*auto, broken, reference/);
  await expect(selectBackend([broken], { threads: 1 })).rejects.toThrow(/broken: no such device.* also give one that always opens/);
  expect(await code({ threads: 0 })).toMatch(/^usage: 0 threads/);
});
