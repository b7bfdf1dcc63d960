import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { atOnce, matrix } from '@fewbit/core';
import { createFormat, encodeMatrix } from '@fewbit/formats';
import { describe, expect, it } from 'vitest';
import { cpuBackend } from './cpu-backend.js';
import { loadAddon } from './cpu-probe.js';
import { nativeHeap } from './native-heap.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const addon = await loadAddon();

describe.skipIf(typeof addon === 'string')('ops that are only written down', () => {
  it('find the tensors that they take, also when nobody else knows these any more', async () => {
    if (typeof addon === 'string') return;
    const backend = cpuBackend(addon, addon.instructionSets()[0]!, 1);
    const length = 20_000;
    const double = () => backend.step(() => backend.ops.scale(backend.upload(new Float32Array(length).fill(1), [length]), 2));
    const doubled = double();
    for (let i = 0; i < 5; i++) {
      collectGarbage();
      // finalizers of native memory run between tasks
      await new Promise(setImmediate);
    }
    // what was freed is somebody else's by now
    const heap = nativeHeap(addon, () => undefined);
    const others = Array.from({ length: 50 }, () => heap.take(length).fill(7));
    expect((await backend.download(doubled)).every((value) => value === 2)).toBe(true);
    expect(others).toHaveLength(50);
    await backend.close();
  });

  it('find the codes that they pack, also when nobody else knows these any more, and those in shared memory', async () => {
    if (typeof addon === 'string') return;
    const backend = cpuBackend(addon, addon.instructionSets()[0]!, 1);
    const [rows, cols] = [2000, 1000];
    const format = createFormat({
      kind: 'int',
      bits: 8,
      scheme: 'symmetric-restricted',
      granularity: { kind: 'channel' },
      scaleType: 'F32',
    });
    const weight = () => encodeMatrix(matrix(rows, cols, new Float32Array(rows * cols).fill(0.5)), format);
    const inShared = (codes: Uint8Array) => {
      const shared = new Uint8Array(new SharedArrayBuffer(codes.length));
      shared.set(codes);
      return shared;
    };
    const uploaded = Array.from({ length: 6 }, (_, i) => {
      const { codes, ...rest } = weight();
      return atOnce(backend.weights!.upload({ ...rest, codes: i % 2 === 0 ? codes : inShared(codes) }));
    });
    collectGarbage();
    const others = Array.from({ length: 20 }, () => new Uint8Array(rows * cols).fill(9));
    const x = backend.upload(new Float32Array(cols).fill(1), [1, cols]);
    for (const tensor of uploaded) {
      const product = backend.step(() => backend.ops.matmul(x, tensor));
      expect((await backend.download(product)).every((value) => Math.abs(value - cols / 2) < 0.1)).toBe(true);
    }
    expect(others).toHaveLength(20);
    await backend.close();
  });
});
