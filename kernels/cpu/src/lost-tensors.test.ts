import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
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
});
