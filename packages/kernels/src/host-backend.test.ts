import { expect, it, vi } from 'vitest';
import { hostBackend } from './host-backend.js';
import { arrayHeap } from './host-memory.js';
import { hostPages } from './host-pages.js';

it('serves each op from the first table that has it, and says which and why', async () => {
  const backend = hostBackend({
    ...{ id: 'doubler', description: 'a test', threads: 1, heap: arrayHeap, close: async () => undefined },
    tables: ({ read, allocate }) => [
      {
        id: 'doubler',
        ops: {
          scale(x) {
            const out = allocate(x.shape);
            out.data.set(read(x).data.map((value) => 2 * value));
            return out;
          },
        },
        algebra: {},
        rejects: { add: 'cannot add' },
      },
    ],
  });
  expect(backend.chosen).toMatchObject({ scale: 'doubler', add: 'reference', gram: 'reference' });
  expect(backend.rejected).toEqual({ add: 'cannot add' });
  const x = backend.upload(Float32Array.of(1, 2), [1, 2]);
  expect([...(await backend.download(backend.ops.scale(x, 99)))]).toEqual([2, 4]);
  expect([...(await backend.download(backend.ops.add(x, x)))]).toEqual([2, 4]);
});

it('refuses an async step, whose tensors would be freed too early', () => {
  const backend = hostBackend({
    ...{ id: 'plain', description: 'a test', threads: 1, heap: arrayHeap, close: async () => undefined },
    tables: () => [],
  });
  expect(() => backend.step(async () => backend.upload(Float32Array.of(1), [1]))).toThrow(/async/);
});

it('waits for ops that are written down before it uploads, not for an empty tensor or page', () => {
  const settle = vi.fn();
  const backend = hostBackend({
    ...{ id: 'deferred', description: 'a test', threads: 1, heap: arrayHeap, close: async () => undefined },
    queue: { settle, finish: async () => undefined },
    tables: () => [],
    pages: hostPages,
  });
  backend.empty([2, 3]);
  backend.pages!.create([2, 3], 'f16');
  expect(settle).not.toHaveBeenCalled();
  backend.upload(new Float32Array(6), [2, 3]);
  expect(settle).toHaveBeenCalled();
});
