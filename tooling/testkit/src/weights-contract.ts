import fc from 'fast-check';
import { expect, it } from 'vitest';
import { atOnce, matrix } from '../../../packages/core/src/index.js';
import {
  createFormat,
  encodeMatrix,
  type IntSpec,
  type QuantizedMatrix,
  type TwoLevelSpec,
  tileGrid,
} from '../../../packages/formats/src/index.js';
import type { ActivationPrecision, Backend } from '../../../packages/kernels/src/index.js';
import { relativeError, sameBits } from './backend-contract.js';
import { columnOrderContract } from './column-order-contract.js';
import { floatWeights } from './float-weights.js';
import { integerSpecs } from './format-specs.js';
import { outliersContract } from './outliers-contract.js';
import { placesContract } from './places-contract.js';
import { productsContract } from './products-contract.js';
import { plainProduct, roundedToBytes } from './rounded-product.js';
import { opTolerances } from './tolerances.js';
import { values } from './values.js';
import { weightsRefusals } from './weights-refusals.js';

const precisions: readonly ActivationPrecision[] = ['int16', 'int8'];

const int4 = (size: number): IntSpec => ({
  kind: 'int',
  bits: 4,
  scheme: 'symmetric-full',
  granularity: { kind: 'group', size },
  scaleType: 'F16',
});

/** x [m, cols]·wᵀ + bias on a backend that `upload` brings w to; leaves nothing there. */
export type Product = (
  on: Backend,
  upload: (on: Backend) => ReturnType<Backend['upload']>,
  x: Float32Array,
  bias: Float32Array | undefined,
  m: number,
) => Promise<Float32Array>;

/** Skips a test where a backend has no forms of weights, or no products with inputs rounded so. */
export type NeedForms = (skip: (note: string) => void, activations?: ActivationPrecision) => void;

/** The weights part of the backend contract: every kind of format that the backend takes, over ragged shapes. */
export function weightsContract(name: string, backends: () => readonly Backend[]): void {
  const needForms: NeedForms = (skip, activations) => {
    if (backends().some((backend) => !backend.weights)) skip(`${name} has no forms of weights`);
    if (activations && backends().some((backend) => !backend.weights!.activations[activations]))
      skip(`${name} has no ${activations} activations`);
  };
  const size = (max: number) => fc.integer({ min: 1, max });

  const product: Product = async (on, upload, x, bias, m) => {
    const w = upload(on);
    const [rows, cols] = w.shape as [number, number];
    const tensors = [on.upload(x, [m, cols]), ...(bias ? [on.upload(bias, [rows])] : [])];
    const result = on.ops.matmul(tensors[0]!, w, tensors[1]);
    const data = await on.download(result);
    for (const tensor of [w, result, ...tensors]) on.free(tensor);
    return data;
  };

  productsContract(backends, product, needForms);

  it.for(precisions)(
    'products of one x by several weights, one after the other, have the bits that each has alone, with %s activations',
    async (activations, { skip }) => {
      needForms(skip, activations);
      const cols = 200;
      // The third is grouped differently, the last takes another x: they are no part of a run of like products.
      const weights = [70, 5, 33, 64, 1].map((rows, i) =>
        encodeMatrix(matrix(rows, cols, values(rows * cols, i, 0.05)), createFormat(int4(i === 2 ? 64 : 32))),
      );
      for (const backend of backends()) {
        for (const m of [1, 3, 30]) {
          const [x, other] = [values(m * cols, 7, 2), values(m * cols, 8, 2)];
          const inputs = weights.map((_, i) => (i === weights.length - 1 ? other : x));
          const alone: Float32Array[] = [];
          for (const [i, codes] of weights.entries())
            alone.push(await product(backend, (on) => atOnce(on.weights!.upload(codes, { activations })), inputs[i]!, undefined, m));
          const held = weights.map((codes) => atOnce(backend.weights!.upload(codes, { activations })));
          const [one, two] = [backend.upload(x, [m, cols]), backend.upload(other, [m, cols])];
          const together = held.map((w, i) => backend.ops.matmul(inputs[i] === x ? one : two, w));
          for (const [i, tensor] of together.entries())
            expect(sameBits(await backend.download(tensor), alone[i]!), `weight ${i}, m ${m}`).toBe(true);
          for (const tensor of [...held, ...together, one, two]) backend.free(tensor);
        }
      }
    },
  );

  floatWeights(name, backends, needForms);

  it('int8 activations give the sums of the plain computation', ({ skip }) => {
    needForms(skip, 'int8');
    return fc.assert(
      fc.asyncProperty(
        fc.record({
          m: fc.oneof(size(5), size(30)),
          cols: size(600),
          rows: size(70),
          spec: fc.oneof(...Object.values(integerSpecs)),
          seed: fc.nat(1000),
        }),
        async ({ m, cols, rows, spec, seed }) => {
          const codes = encodeMatrix(matrix(rows, cols, values(rows * cols, seed, 0.05)), createFormat(spec));
          const { tileCols } = tileGrid(createFormat(spec), rows, cols);
          const rounded = roundedToBytes(values(m * cols, seed + 1, 2), cols, Math.min(tileCols, cols));
          const want = plainProduct(rounded, codes);
          const size = Math.sqrt(want.reduce((sum, value) => sum + value * value, 0) / want.length);
          for (const backend of backends()) {
            const got = await product(
              backend,
              ({ weights }) => atOnce(weights!.upload(codes, { activations: 'int8' })),
              rounded.x,
              undefined,
              m,
            );
            // One wrong unit in a sum of 600 products of 8-bit codes is about 1e-5 of it.
            for (const [i, value] of want.entries()) expect(Math.abs(got[i]! - value)).toBeLessThanOrEqual(opTolerances.sum * size);
          }
        },
      ),
      { numRuns: 120, seed: 1 },
    );
  });

  it.for(precisions)('the largest codes and %s activations do not overflow', async (activations, { skip }) => {
    needForms(skip, activations);
    for (const [bits, cols] of [2, 3, 4, 5, 6, 7, 8].flatMap((bits) => [32, 128, 300].map((cols) => [bits, cols] as const))) {
      const spec = { kind: 'int', bits, scheme: 'asymmetric', granularity: { kind: 'channel' }, scaleType: 'F32' } as const;
      const most = 2 ** bits - 1;
      const params = Array.from({ length: 20 }, (_, row) => ({ scale: 1, zero: row < 5 ? 0 : row < 10 ? most : 1 }));
      const codes = { rows: 20, cols, spec, params, codes: new Uint8Array(20 * cols).fill(most) } as QuantizedMatrix;
      for (const value of [-4, 4]) {
        for (const m of [1, 3, 14]) {
          const x = new Float32Array(m * cols).fill(value);
          const want = Float32Array.from({ length: m * 20 }, (_, i) => (most - params[i % 20]!.zero) * value * cols);
          for (const backend of backends()) {
            const got = await product(backend, ({ weights }) => atOnce(weights!.upload(codes, { activations })), x, undefined, m);
            expect(relativeError(got, want)).toBeLessThanOrEqual(opTolerances.matmul);
          }
        }
      }
    }
  });

  it.for(precisions)('x that is not finite gives results that are not, with %s activations', async (activations, { skip }) => {
    needForms(skip, activations);
    const based: TwoLevelSpec = {
      ...{ kind: 'two-level', bits: 4, granularity: { kind: 'group', size: 32 } },
      ...{ scaleBits: 3, scaleRows: 16, scaleType: 'F32' },
    };
    for (const spec of [int4(32), based]) {
      const codes = encodeMatrix(matrix(5, 70, values(350, 1)), createFormat(spec));
      for (const [bad, m] of [Number.NaN, Number.POSITIVE_INFINITY].flatMap((bad) => [1, 20].map((m) => [bad, m] as const))) {
        const x = values(m * 70, 2);
        x[m * 70 - 3] = bad;
        for (const backend of backends()) {
          const got = await product(backend, ({ weights }) => atOnce(weights!.upload(codes, { activations })), x, undefined, m);
          expect(got.subarray(-5).every((value) => !Number.isFinite(value))).toBe(true);
          expect(got.subarray(0, (m - 1) * 5).every(Number.isFinite)).toBe(true);
        }
      }
    }
  });

  placesContract(backends, product, needForms);
  outliersContract(backends, product, needForms);
  columnOrderContract(backends, product, needForms);
  weightsRefusals(backends, needForms);
}
