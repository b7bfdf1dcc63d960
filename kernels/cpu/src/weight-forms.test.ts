import { atOnce, matrix } from '@fewbit/core';
import { createFormat, encodeMatrix, type FormatSpec } from '@fewbit/formats';
import { describe, expect, it } from 'vitest';
import { cpuBackend } from './cpu-backend.js';
import { loadAddon } from './cpu-probe.js';

const addon = await loadAddon();
const group = (size: number) => ({ kind: 'group', size }) as const;
const int = (bits: 2 | 3 | 4 | 5 | 6 | 7 | 8): FormatSpec => ({
  kind: 'int',
  bits,
  scheme: 'symmetric-full',
  granularity: group(32),
  scaleType: 'F16',
});

/** Bits per weight in memory. */
const held: Readonly<Record<string, readonly [FormatSpec, number]>> = Object.fromEntries(
  ([2, 3, 4, 5, 6, 7, 8] as const).map((bits) => [`int${bits}`, [int(bits), bits + 0.5]]),
);

describe.skipIf(typeof addon === 'string')('a weight takes the bits of its codes and scales', () => {
  it.for(Object.entries(held))('%s', async ([, [spec, bits]]) => {
    if (typeof addon === 'string') return;
    const backend = cpuBackend(addon, addon.instructionSets()[0]!, 1);
    const [rows, cols] = [512, 512];
    const values = Float32Array.from({ length: rows * cols }, (_, i) => Math.fround(Math.sin(i)));
    const before = backend.bytes;
    atOnce(backend.weights!.upload(encodeMatrix(matrix(rows, cols, values), createFormat(spec))));
    expect(((backend.bytes - before) * 8) / (rows * cols)).toBeCloseTo(bits, 2);
    await backend.close();
  });
});
