import { execFileSync } from 'node:child_process';
import type { HostTensor } from '@fewbit/kernels';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { heapStart } from './control.js';
import { plainBuild } from './load-build.js';
import { currentPlatform, nodeHead } from './platform.js';
import { sharedHeap } from './shared-heap.js';
import { wasmBackend } from './wasm-backend.js';
import { startWorkers, workerProgram } from './workers.js';

describe('the shared heap', () => {
  it('gives blocks that do not overlap, and uses freed room again', () => {
    const sizes = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 300_000 }), keep: fc.boolean() }), { maxLength: 60 });
    fc.assert(
      fc.property(sizes, (blocks) => {
        const heap = sharedHeap();
        const live = new Map<number, number>();
        for (let round = 0; round < 2; round++) {
          for (const { bytes, keep } of blocks) {
            const address = heap.allocate(bytes);
            expect(address % 64).toBe(0);
            expect(address + bytes).toBeLessThanOrEqual(heap.memory.buffer.byteLength);
            for (const [start, size] of live) expect(address >= start + size || start >= address + bytes).toBe(true);
            if (keep) live.set(address, bytes);
            else heap.free(address);
          }
          for (const address of live.keys()) heap.free(address);
          live.clear();
        }
        // Everything is free and merged: one block as large as all of the memory fits without growth.
        const total = heap.memory.buffer.byteLength - heapStart;
        if (total > 0) heap.allocate(total);
        expect(heap.memory.buffer.byteLength).toBe(total + heapStart);
      }),
      { numRuns: 30, seed: 1 },
    );
  });

  it('says so when 4 GiB are not enough', () => {
    expect(() => sharedHeap().allocate(2 ** 32)).toThrow(/memory is full/);
  });
});

it('a thousand steps of mixed shapes leave memory as it was', async () => {
  const backend = await wasmBackend((await plainBuild())!, 2);
  const w = backend.upload(new Float32Array(96 * 64).fill(0.1), [96, 64]);
  const cache = backend.upload(new Float32Array(50 * 64), [50, 64]);
  const { bytes } = backend;
  const heads = { heads: 4, keyValueHeads: 4, headSize: 16, scale: 1, start: 0 };
  /** Bytes of the whole WebAssembly memory after the step. */
  const step = (m: number) =>
    backend.step(() => {
      const x = backend.ops.rows(cache, 0, m);
      const y = backend.ops.matmul(x, w);
      backend.ops.attention(x, [cache], [cache], heads);
      const gram = { rows: m, cols: 8, data: new Float32Array(m * 8) };
      backend.algebra.gram(gram, gram, new Float64Array(64));
      backend.algebra.inverseCholesky(Float64Array.of(m - 2), 1);
      return (backend.ops.gated(y, y, 'silu') as HostTensor).data.buffer.byteLength;
    });
  const size = step(50);
  for (let i = 0; i < 1000; i++) expect(step(1 + ((i * 7) % 50))).toBe(size);
  expect(backend.bytes).toBe(bytes);
  await backend.close();
});

it('goes on with one thread, and says why, when workers cannot start', async () => {
  const { module } = (await plainBuild())!;
  // A memory that is not shared cannot go to a worker.
  const { workers, hindrance } = await startWorkers(currentPlatform(), module, new WebAssembly.Memory({ initial: 1 }), 2);
  expect(workers).toEqual([]);
  expect(hindrance).toMatch(/^no worker threads: ./);
});

it('an open backend does not keep its process alive', () => {
  const url = (name: string) => new URL(name, import.meta.url).href;
  // The worker program as it is, outside of vitest, which would load TypeScript for us.
  const program = `
    import { readFileSync } from 'node:fs';
    import { Worker } from 'node:worker_threads';
    const module = new WebAssembly.Module(readFileSync(new URL(${JSON.stringify(url('../generated/fewbit.wasm'))})));
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
    const worker = new Worker(${JSON.stringify(nodeHead + workerProgram)}, { eval: true, execArgv: [] });
    worker.postMessage({ module, memory, thread: 1 });
    await new Promise((resolve) => worker.once('message', resolve));
    worker.unref();
    console.log('done');
  `;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8', timeout: 20_000 });
  expect(output).toBe('done\n');
});
