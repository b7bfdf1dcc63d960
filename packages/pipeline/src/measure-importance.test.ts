import { openModelDirectory } from '@fewbit/checkpoint';
import { toFloat32 } from '@fewbit/core';
import { referenceBackend } from '@fewbit/kernels';
import { linears, planModel } from '@fewbit/models';
import { fewbitError, goldenModel } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import { measureImportance } from './index.js';

const llama = goldenModel('llama');
const windows = [Uint32Array.from([1, 5, 9, 13, 40]), Uint32Array.from([2, 60, 3, 33, 7])];
const measured = (chosen = windows, signal?: AbortSignal) => {
  const calibration = { source: 'numbers', fingerprint: 'x', windows: chosen };
  return measureImportance({ model: llama.folder, calibration, backend: referenceBackend(), signal });
};

describe('measureImportance', () => {
  it('is the mean square of the inputs: at the first layer, of the normed embeddings', async () => {
    const { checkpoint, close, config } = await openModelDirectory(llama.folder);
    const embedding = toFloat32(await checkpoint.read('model.embed_tokens.weight'));
    const gain = toFloat32(await checkpoint.read('model.layers.0.input_layernorm.weight'));
    await close();
    const width = gain.length;
    const expected = new Float64Array(width);
    for (const token of windows.flatMap((window) => [...window])) {
      const row = embedding.subarray(token * width, (token + 1) * width);
      const power = row.reduce((sum, x) => sum + x * x, 0) / width + (config.rms_norm_eps as number);
      for (let i = 0; i < width; i++) expected[i]! += (row[i]! * gain[i]!) ** 2 / power / 10;
    }
    const found = await measured();
    for (const name of ['q', 'k', 'v']) {
      const values = found.get(`model.layers.0.self_attn.${name}_proj`)!;
      expect(values.length).toBe(width);
      for (let i = 0; i < width; i++) expect(values[i]! / expected[i]!).toBeCloseTo(1, 5);
    }
  });

  it('has every layer, each the mean over the windows', async () => {
    const [both, first, second] = [await measured(), await measured(windows.slice(0, 1)), await measured(windows.slice(1))];
    for (const { module, cols } of linears(planModel(llama.config()))) {
      const values = both.get(module)!;
      expect(values.length).toBe(cols);
      for (let i = 0; i < cols; i++) {
        const mean = (first.get(module)![i]! + second.get(module)![i]!) / 2;
        expect(Math.abs(values[i]! - mean)).toBeLessThanOrEqual(1e-5 * mean);
      }
    }
  });

  it('stops when asked to, and leaves nothing in the backend', async () => {
    await expect(measured(windows, AbortSignal.abort())).rejects.toThrow(fewbitError('cancelled', /^Stopped at embeddings/));
    const backend = referenceBackend();
    await measureImportance({ model: llama.folder, calibration: { source: 'n', fingerprint: 'x', windows }, backend });
    expect(backend.bytes).toBe(0);
  });
});
