import type { ActivationRounding, IntSpec } from '@fewbit/formats';
import { fewbitError } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import { cpuBackend } from './cpu-backend.js';
import { loadAddon } from './cpu-probe.js';

const addon = await loadAddon();
const of = (bits: 4 | 8, scheme: IntSpec['scheme'], size: number): ActivationRounding => ({
  spec: { format: { kind: 'int', bits, scheme, granularity: { kind: 'group', size }, scaleType: 'F32' }, scaling: 'dynamic' },
});
const fp8: ActivationRounding = {
  spec: { format: { kind: 'float', element: 'e4m3', granularity: { kind: 'channel' }, scaleType: 'F32' }, scaling: 'dynamic' },
};

describe.skipIf(typeof addon === 'string')('pages', () => {
  it('take the bytes of their codes and scales', async () => {
    const backend = open();
    const bytes = (form: 'f16' | ActivationRounding) => {
      const before = backend.bytes;
      const page = backend.pages!.create([240, 256], form);
      const taken = backend.bytes - before;
      backend.free(page);
      // the heap rounds up to whole eighths of a power of two
      return taken / 240;
    };
    for (const [form, row] of [
      ['f16', 512],
      [of(8, 'symmetric-full', 256), 260],
      [of(8, 'asymmetric', 64), 256 + 16 + 4],
      [of(4, 'symmetric-full', 32), 128 + 32],
      [of(4, 'asymmetric', 32), 128 + 32 + 8],
      [fp8, 260],
    ] as const) {
      expect(bytes(form)).toBeGreaterThanOrEqual(row);
      expect(bytes(form)).toBeLessThan(row * 1.15);
    }
    await backend.close();
  });

  it('have no form for what is no run of codes', async () => {
    const backend = open();
    const outliers = { spec: { ...of(8, 'symmetric-full', 64).spec, outlierThreshold: 6 } };
    for (const form of [outliers, of(4, 'symmetric-full', 13), of(8, 'symmetric-absmax', 64)]) {
      expect(backend.pages!.rejects(form, 64)).toMatch(/have no native pages/);
      expect(() => backend.pages!.create([8, 64], form)).toThrow(fewbitError('usage', /keep rounded rows in a tensor/));
    }
    await backend.close();
  });

  it('are neither weights nor tensors, and weights no pages', async () => {
    const backend = open();
    const { ops } = backend;
    const [page, other] = [backend.pages!.create([8, 16], 'f16'), backend.pages!.create([8, 16], of(8, 'symmetric-full', 16))];
    const x = backend.upload(new Float32Array(16), [1, 16]);
    const weight = backend.weights!.upload({ rows: 16, cols: 16, data: new Float32Array(256).fill(1) });
    const options = { heads: 1, keyValueHeads: 1, headSize: 16, scale: 1, start: 0 };
    expect(() => ops.add(page, page)).toThrow(fewbitError('usage', /only matmul and embed/));
    expect(() => ops.matmul(x, page)).toThrow(fewbitError('usage', /page of shape \[8, 16\] of a KV cache is no weight/));
    expect(() => ops.embed(page, Uint32Array.of(1))).toThrow(fewbitError('usage', /is no weight/));
    expect(() => ops.store(weight, x, 0)).toThrow(fewbitError('usage', /weight of shape \[16, 16\] is no page/));
    expect(() => ops.attention(x, [page, other], [page, page], options)).toThrow(fewbitError('usage', /in two forms/));
    const odd = backend.pages!.create([8, 6], of(4, 'symmetric-full', 6));
    const q = backend.upload(new Float32Array(6), [1, 6]);
    expect(() => ops.attention(q, [odd], [odd], { ...options, keyValueHeads: 2, headSize: 3, heads: 2 })).toThrow(
      fewbitError('usage', /Heads of 3, an odd size/),
    );
    await backend.close();
  });
});

function open() {
  if (typeof addon === 'string') throw new Error(addon);
  return cpuBackend(addon, addon.instructionSets()[0]!, 1);
}
