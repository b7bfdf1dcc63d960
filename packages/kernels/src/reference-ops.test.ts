import { describe, expect, it } from 'vitest';
import { referenceAlgebra } from './reference-algebra.js';
import { referenceBackend } from './reference-backend.js';
import type { Activation, DeviceTensor, Ops } from './types.js';

const backend = referenceBackend();
const tensor = (shape: number[], values: number[]) => backend.upload(Float32Array.from(values), shape);

/** The op's values on the reference backend, to be compared with values known from elsewhere. */
async function values(op: (ops: Ops) => DeviceTensor): Promise<number[]> {
  return [...(await backend.download(op(backend.ops)))];
}

async function expectClose(op: (ops: Ops) => DeviceTensor, want: readonly number[]): Promise<void> {
  const got = await values(op);
  expect(got.length).toBe(want.length);
  for (const [i, value] of want.entries()) expect(got[i]).toBeCloseTo(value, 6);
}

describe('the reference ops', () => {
  it('matmul takes w by rows and adds the bias', () => {
    const x = tensor([2, 3], [1, 2, 3, 4, 5, 6]);
    const w = tensor([2, 3], [1, 0, -1, 2, 1, 0]);
    return expectClose(({ matmul }) => matmul(x, w, tensor([2], [10, 20])), [8, 24, 8, 33]);
  });

  it('rmsNorm and layerNorm', async () => {
    const x = tensor([1, 4], [3, 4, 0, 5]);
    // Over halves: rms(3, 4) = √12.5, rms(0, 5) = √12.5.
    const root = Math.sqrt(12.5);
    await expectClose(({ rmsNorm }) => rmsNorm(x, tensor([2], [1, 0]), 0, 1), [6 / root, 4 / root, 0, 5 / root]);
    const unit = Math.sqrt(3 / 2);
    await expectClose(
      ({ layerNorm }) => layerNorm(tensor([1, 3], [1, 2, 3]), tensor([3], [1, 1, 2]), tensor([3], [0, 5, 1]), 0),
      [-unit, 5, 2 * unit + 1],
    );
  });

  it('activations at known points', async () => {
    const known: Record<Activation, number[]> = {
      relu: [0, 0, 1],
      silu: [-0.2384058440442351, 0, 0.7310585786300049], // 2·σ(−2), σ(1)
      gelu: [-0.0455002638963584, 0, 0.8413447460685429], // x·Φ(x)
      'gelu-tanh': [-0.0454023, 0, 0.8411919906],
    };
    for (const [name, want] of Object.entries(known)) {
      await expectClose(({ activate }) => activate(tensor([1, 3], [-2, 0, 1]), name as Activation), want);
    }
    await expectClose(({ softcap }) => softcap(tensor([1, 1], [3]), 3), [3 * Math.tanh(1)]);
  });

  it('rotate turns half-split pairs by position · frequency', () => {
    const rotary = { frequencies: Float32Array.of(Math.PI / 2), amplitude: 2 };
    // Two rows at positions 1 and 2: a quarter turn, a half turn; the third feature stays.
    const x = tensor([2, 3], [1, 0, 7, 1, 0, 7]);
    return expectClose(({ rotate }) => rotate(x, 3, rotary, 1), [0, 2, 7, -2, 0, 7]);
  });

  it('attention is causal, shares keys among grouped heads, and keeps to its window', async () => {
    const options = { heads: 2, keyValueHeads: 1, headSize: 1, scale: 1, start: 1 };
    // Queries of zero weigh every visible key alike.
    const q = tensor([2, 2], [0, 0, 0, 0]);
    const k = tensor([4, 1], [1, 2, 3, 4]);
    const v = tensor([4, 1], [1, 3, 8, 100]);
    await expectClose(({ attention }) => attention(q, [k], [v], options), [2, 2, 4, 4]);
    await expectClose(({ attention }) => attention(q, [k], [v], { ...options, window: 2 }), [2, 2, 5.5, 5.5]);
    // Two keys with scores 0 and ln 3 weigh 1/4 and 3/4; capped at c, c·tanh(ln 3 / c).
    const one = tensor([1, 2], [Math.log(3), 0]);
    const keys = tensor([2, 1], [0, 1]);
    await expectClose(({ attention }) => attention(one, [keys], [v2()], options), [3, 2]);
    const capped = Math.exp(Math.tanh(Math.log(3)));
    await expectClose(({ attention }) => attention(one, [keys], [v2()], { ...options, softcap: 1 }), [(0 + 4 * capped) / (1 + capped), 2]);
    function v2() {
      return tensor([2, 1], [0, 4]);
    }
  });

  it('crossEntropy of equal logits is ln n, and does not overflow', () =>
    expectClose(({ crossEntropy }) => crossEntropy(tensor([2, 4], [5, 5, 5, 5, 1000, 0, 0, 0]), Uint32Array.of(2, 0)), [Math.log(4), 0]));

  it('inverseCholesky of a matrix inverted by hand', () => {
    // h = [[4, 2], [2, 3]], h⁻¹ = [[3, −2], [−2, 4]] / 8 = Uᵀ·U with U = [[√3/√8, −2/√24], [0, √(1/3)]].
    const u = referenceAlgebra.inverseCholesky(Float64Array.of(4, 2, 2, 3), 2)!;
    for (const [i, value] of [Math.sqrt(3 / 8), -2 / Math.sqrt(24), 0, Math.sqrt(1 / 3)].entries()) expect(u[i]).toBeCloseTo(value, 12);
  });
});
