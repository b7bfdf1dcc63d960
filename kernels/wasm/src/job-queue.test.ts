import type { Backend } from '@fewbit/kernels';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { queueBytes, scale } from './control.js';
import { createEngine } from './engine.js';
import { fastestBuild } from './load-build.js';
import { currentPlatform, type Platform } from './platform.js';
import { wasmBackend } from './wasm-backend.js';

const threadless: Platform = { ...currentPlatform(), startWorker: () => Promise.reject(new Error('none here')) };

describe.each([1, 2])('jobs of %s other threads', (threads) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await wasmBackend(await fastestBuild(), threads);
  });
  afterAll(() => backend.close());

  it('leave the event loop to others', async () => {
    expect(backend.deferred).toBe(true);
    const side = 1024;
    const w = backend.upload(new Float32Array(side * side).fill(1 / side), [side, side]);
    const result = backend.step(() => {
      let x = backend.ops.scale(w, 1);
      for (let i = 0; i < 4; i++) x = backend.ops.matmul(x, w);
      return x;
    });
    let turns = 0;
    let ended = false;
    const download = backend.download(result).finally(() => {
      ended = true;
    });
    for (; !ended; turns++) await new Promise(setImmediate);
    expect((await download)[0]).toBeCloseTo(1 / side);
    expect(turns).toBeGreaterThan(10);
  });

  it('run in the order of their coming, however many they are, and whoever waits for them', async () => {
    const count = Math.ceil((2.5 * queueBytes) / 72);
    const data = Float32Array.from({ length: 16 }, (_, i) => i);
    const run = async () => {
      const x = backend.upload(data, [16]);
      const result = backend.step(() => {
        let y = backend.ops.scale(x, 1);
        for (let i = 0; i < count; i++) y = backend.step(() => backend.ops.scale(y, i % 2 === 0 ? 2 : 0.5));
        return y;
      });
      const got = await backend.download(result);
      for (const tensor of [x, result]) backend.free(tensor);
      return got;
    };
    for (const got of await Promise.all([run(), run(), run()])) expect(got).toEqual(data.map((value) => value * (count % 2 === 0 ? 1 : 2)));
  });
});

it('that are begun need no one who waits for them', async () => {
  const engine = await createEngine((await fastestBuild()).module, 1, currentPlatform());
  const at = engine.heap.allocate(64);
  const values = new Float32Array(engine.heap.memory.buffer, at, 3);
  values.set([1, 2, 3]);
  engine.run(scale, 1, [at, at, 3, 5]);
  engine.begin();
  await vi.waitUntil(() => values[2] === 15, { timeout: 60_000 });
  expect(values).toEqual(Float32Array.of(5, 10, 15));
  await engine.close();
});

it('say so when a worker fails, to who waits then and later', async () => {
  const engine = await createEngine((await fastestBuild()).module, 2, currentPlatform());
  engine.run(999, 4, []);
  const failure = /worker has failed/;
  await expect(engine.deferred!.finish()).rejects.toThrow(failure);
  expect(() => engine.settle()).toThrow(failure);
  await engine.close();
});

it('run at once on the thread of JavaScript where there is no other, and must fit the queue', async () => {
  const engine = await createEngine((await fastestBuild()).module, 2, threadless);
  expect(engine).toMatchObject({ threads: 1, hindrance: 'no worker threads: none here' });
  expect(engine.deferred).toBeUndefined();
  const at = engine.heap.allocate(64);
  new Float32Array(engine.heap.memory.buffer, at, 3).set([1, 2, 3]);
  engine.run(scale, 1, [at, at, 3, 5]);
  expect(new Float32Array(engine.heap.memory.buffer, at, 3)).toEqual(Float32Array.of(5, 10, 15));
  expect(() => engine.run(scale, 1, [], { operands: new Uint32Array(queueBytes / 8) })).toThrow(/does not fit/);
  await engine.close();
});
