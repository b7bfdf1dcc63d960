import { referenceBackend } from '@fewbit/kernels';
import { keyValueCacheNames } from '@fewbit/presets';
import { describe, expect, it } from 'vitest';
import { kernelsDocument } from '../src/documents.js';
import { fewbitBench, fewbitBenchJson } from './capture.js';

const small = ['--shape', 'tiny', '--peer', 'none', '--rounds', '1', '--prompt', '4', '--stream', '1'];

describe('fewbit-bench kernels', () => {
  it('measures every op, and says who served it', async () => {
    const flags = ['--backend', 'wasm', '--formats', 'int4', '--outliers', '0,1%', '--peer', 'onnxruntime'];
    const { machine, rows, notes } = kernelsDocument.parse(await fewbitBenchJson('kernels', ...small, ...flags));
    const products = rows.filter(({ op, format }) => op === 'matmul' && format === 'f32');
    expect(products.map(({ shape }) => shape)).toContain('1×64 192×64');
    expect(products.map(({ shape }) => shape)).toContain('4×192 64×192');
    const { ops, algebra } = referenceBackend();
    expect(new Set(rows.map(({ op }) => op))).toEqual(new Set([...Object.keys(ops), ...Object.keys(algebra), 'upload']));
    for (const op of ['store', 'attention'])
      expect(new Set(rows.filter((row) => row.op === op).map(({ format }) => format))).toEqual(new Set(keyValueCacheNames));
    expect(new Set(rows.filter(({ format }) => format === 'int4 g32').map(({ op, limit }) => `${op} ${limit}`))).toEqual(
      new Set(['matmul readBandwidth', 'matmul integerPeak', 'upload readBandwidth']),
    );
    const kept = rows.filter(({ format }) => format === 'int4 g32 outliers 1%');
    expect(new Set(kept.map(({ op }) => op))).toEqual(new Set(['matmul', 'upload']));
    for (const row of kept) expect(row).not.toHaveProperty('peer');
    expect(notes).toContain('No peer for int4 g32 outliers 1%: peers have no weights beside the codes.');
    expect(new Set(products.map(({ limit }) => limit))).toEqual(new Set(['readBandwidth', 'gemmPeak']));
    expect(machine.integerPeak).toBeGreaterThan(0);
    for (const { backend, kernel } of rows) expect([backend, kernel]).toEqual(['wasm', 'wasm']);
    expect(machine.measuredBy).toMatch(/^(cpu|wasm): /);
  });

  it('says which formats a backend only decodes', async () => {
    const { rows, notes } = kernelsDocument.parse(
      await fewbitBenchJson('kernels', '--backend', 'reference', '--formats', 'int4', ...small),
    );
    expect(rows.some(({ format }) => format === 'int4 g32')).toBe(false);
    expect(notes).toEqual(['reference has no product with int4 g32 weights: it decodes them to float32.']);
  });

  it('refuses an unknown peer', async () => {
    const { code, stderr } = await fewbitBench('kernels', '--peer', 'blas');
    expect(code).toBe(2);
    expect(stderr).toContain('--peer blas is unknown. Choose one of: onnxruntime, none');
  });
});
