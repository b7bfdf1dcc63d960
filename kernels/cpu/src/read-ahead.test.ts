import { atOnce } from '@fewbit/core';
import { createFormat, encodeMatrix } from '@fewbit/formats';
import { describe, expect, it } from 'vitest';
import { cpuBackend } from './cpu-backend.js';
import { loadAddon } from './cpu-probe.js';

const addon = await loadAddon();

describe.skipIf(typeof addon === 'string')('what lies behind the last code', () => {
  it('has no part in a product, whatever was in that memory before', async () => {
    if (typeof addon === 'string') return;
    const format = createFormat({ kind: 'float', element: 'e5m2', granularity: { kind: 'channel' }, scaleType: 'F32' });
    const cols = 172; // no multiple of a vector
    const matrix = encodeMatrix({ rows: 1, cols, data: new Float32Array(cols).fill(0.5) }, format);
    for (const name of addon.instructionSets()) {
      const backend = cpuBackend(addon, name, 1);
      const x = backend.upload(new Float32Array(cols).fill(1), [1, cols]);
      for (let length = 16; length <= 1024; length += 16) {
        for (const used of Array.from({ length: 8 }, () => backend.upload(new Float32Array(length).fill(Number.NaN), [length])))
          backend.free(used);
        const weight = atOnce(backend.weights!.upload(matrix));
        const y = backend.step(() => backend.ops.matmul(x, weight));
        expect([...(await backend.download(y))]).toEqual([expect.closeTo(86, 2)]);
        backend.free(y);
        backend.free(weight);
      }
      await backend.close();
    }
  });
});
