import fc from 'fast-check';
import { expect, it } from 'vitest';
import { matrix } from '../../../packages/core/src/index.js';
import {
  createFormat,
  decodeMatrix,
  encodeMatrix,
  ggmlType,
  type IntSpec,
  type QuantizedMatrix,
  tileGrid,
} from '../../../packages/formats/src/index.js';
import { type ActivationPrecision, type Backend, referenceBackend } from '../../../packages/kernels/src/index.js';
import { relativeError, sameBits } from './backend-contract.js';
import { floatWeights } from './float-weights.js';
import { integerSpecs, otherSpecs } from './format-specs.js';
import { outliersContract } from './outliers-contract.js';
import { plainProduct, roundedToBytes } from './rounded-product.js';
import { values } from './values.js';
import { weightsRefusals } from './weights-refusals.js';

/**
 * Largest relative L2 error of a product whose x is rounded per 128 inputs: a step of absmax/32767 or absmax/127 errs by a third of itself, and the
 * largest of 128 normal values is about 3 deviations, which gives 2.6e-5 or 6.8e-3; short rows scatter.
 */
export const tolerances: Readonly<Record<ActivationPrecision, number>> = { int16: 6e-5, int8: 1.6e-2 };

const precisions = Object.keys(tolerances) as ActivationPrecision[];

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

/** The weights part of the backend contract: every kind of format that the backend takes, over ragged shapes. */
export function weightsContract(name: string, backends: () => readonly Backend[]): void {
  const reference = referenceBackend();
  const needForms = (skip: (note: string) => void, activations?: ActivationPrecision) => {
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

  it.for(precisions)('matmul by codes with %s activations, over formats and ragged shapes', (activations, { skip }) => {
    needForms(skip, activations);
    return fc.assert(
      fc.asyncProperty(
        fc.record({
          m: fc.oneof(size(5), size(60)),
          cols: size(600),
          rows: size(70),
          spec: integerSpecs,
          bias: fc.boolean(),
          seed: fc.nat(1000),
        }),
        async ({ m, cols, rows, spec, bias, seed }) => {
          const codes = encodeMatrix(matrix(rows, cols, values(rows * cols, seed, 0.05)), createFormat(spec));
          const x = values(m * cols, seed + 1, 2);
          const row = bias ? values(rows, seed + 2) : undefined;
          const want = await product(reference, (on) => on.upload(decodeMatrix(codes).data, [rows, cols]), x, row, m);
          const before = backends().map(({ bytes }) => bytes);
          const results: Float32Array[] = [];
          for (const backend of backends()) {
            expect(backend.weights!.rejects(codes)).toBeUndefined();
            results.push(await product(backend, ({ weights }) => weights!.upload(codes, { activations }), x, row, m));
          }
          for (const got of results) {
            expect(relativeError(got, want)).toBeLessThanOrEqual(tolerances[activations]);
            expect(sameBits(got, results[0]!)).toBe(true);
          }
          expect(backends().map(({ bytes }) => bytes)).toEqual(before);
        },
      ),
      { numRuns: 120, seed: 1 },
    );
  });

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
            alone.push(await product(backend, (on) => on.weights!.upload(codes, { activations }), inputs[i]!, undefined, m));
          const held = weights.map((codes) => backend.weights!.upload(codes, { activations }));
          const [one, two] = [backend.upload(x, [m, cols]), backend.upload(other, [m, cols])];
          const together = held.map((w, i) => backend.ops.matmul(inputs[i] === x ? one : two, w));
          for (const [i, tensor] of together.entries())
            expect(sameBits(await backend.download(tensor), alone[i]!), `weight ${i}, m ${m}`).toBe(true);
          for (const tensor of [...held, ...together, one, two]) backend.free(tensor);
        }
      }
    },
  );

  it('embed by codes, exactly as by their values', ({ skip }) => {
    needForms(skip);
    return fc.assert(
      fc.asyncProperty(
        fc.record({ m: size(20), cols: size(400), rows: size(40), spec: integerSpecs, seed: fc.nat(1000) }),
        async ({ m, cols, rows, spec, seed }) => {
          const codes = encodeMatrix(matrix(rows, cols, values(rows * cols, seed, 0.05)), createFormat(spec));
          const tokens = Uint32Array.from({ length: m }, (_, i) => (i * 7 + seed) % rows);
          const { data } = decodeMatrix(codes);
          for (const backend of backends()) {
            const table = backend.weights!.upload(codes);
            const found = backend.ops.embed(table, tokens);
            const got = await backend.download(found);
            for (const tensor of [table, found]) backend.free(tensor);
            for (const [i, token] of tokens.entries()) {
              expect(sameBits(got.subarray(i * cols, (i + 1) * cols), data.subarray(token * cols, (token + 1) * cols))).toBe(true);
            }
          }
        },
      ),
      { numRuns: 60, seed: 1 },
    );
  });

  it('matmul and embed by codes of other levels, where there is a form: as exact as it says', ({ skip }) => {
    needForms(skip);
    return fc.assert(
      fc.asyncProperty(
        fc.record({
          m: fc.oneof(fc.constant(1), size(5), size(40)),
          cols: fc.oneof(size(300), fc.constantFrom(64, 128, 320, 512, 1024)), // whole vectors take paths of their own
          blocks: size(2),
          rows: fc.integer({ min: 8, max: 40 }), // the sum of a single product may be 0 but for its rounding
          spec: otherSpecs,
          bias: fc.boolean(),
          seed: fc.nat(1000),
        }),
        async ({ m, blocks, rows, spec, bias, seed, ...shape }) => {
          const cols = spec.kind === 'ggml' ? blocks * ggmlType(spec.type).block : shape.cols;
          const codes = encodeMatrix(matrix(rows, cols, values(rows * cols, seed, 0.05)), createFormat(spec));
          const decoded = decodeMatrix(codes).data;
          const x = values(m * cols, seed + 1, 2);
          const row = bias ? values(rows, seed + 2) : undefined;
          const tokens = Uint32Array.from({ length: m }, (_, i) => (i * 7 + seed) % rows);
          const want = await product(reference, (on) => on.upload(decoded, [rows, cols]), x, row, m);
          const results: Float32Array[] = [];
          for (const backend of backends()) {
            if (backend.weights!.rejects(codes) !== undefined) continue;
            results.push(await product(backend, ({ weights }) => weights!.upload(codes), x, row, m));
            const table = backend.weights!.upload(codes);
            const found = backend.ops.embed(table, tokens);
            const wanted = Float32Array.from({ length: m * cols }, (_, i) => decoded[tokens[Math.floor(i / cols)]! * cols + (i % cols)]!);
            expect(relativeError(await backend.download(found), wanted)).toBeLessThanOrEqual(3e-7);
            for (const tensor of [found, table]) backend.free(tensor);
          }
          // exact but for the order of sums, where the form takes x as it is
          const rounds = backends().some(({ weights }) => weights!.rejects(codes) === undefined && weights!.rounds(codes));
          for (const got of results) {
            expect(relativeError(got, want)).toBeLessThanOrEqual(rounds ? tolerances.int16 : 2e-6);
            expect(sameBits(got, results[0]!)).toBe(true);
          }
        },
      ),
      { numRuns: 240, seed: 1 },
    );
  });

  floatWeights(name, backends, needForms);

  it('int8 activations give the sums of the plain computation', ({ skip }) => {
    needForms(skip, 'int8');
    return fc.assert(
      fc.asyncProperty(
        fc.record({ m: fc.oneof(size(5), size(30)), cols: size(600), rows: size(70), spec: integerSpecs, seed: fc.nat(1000) }),
        async ({ m, cols, rows, spec, seed }) => {
          const codes = encodeMatrix(matrix(rows, cols, values(rows * cols, seed, 0.05)), createFormat(spec));
          const { tileCols } = tileGrid(createFormat(spec), rows, cols);
          const rounded = roundedToBytes(values(m * cols, seed + 1, 2), cols, Math.min(tileCols, cols));
          const want = plainProduct(rounded, codes);
          const size = Math.sqrt(want.reduce((sum, value) => sum + value * value, 0) / want.length);
          for (const backend of backends()) {
            const got = await product(backend, ({ weights }) => weights!.upload(codes, { activations: 'int8' }), rounded.x, undefined, m);
            // One wrong unit in a sum of 600 products of 8-bit codes is about 1e-5 of it.
            for (const [i, value] of want.entries()) expect(Math.abs(got[i]! - value)).toBeLessThanOrEqual(4e-6 * size);
          }
        },
      ),
      { numRuns: 120, seed: 1 },
    );
  });

  it.for(precisions)('the largest codes and %s activations do not overflow', async (activations, { skip }) => {
    needForms(skip, activations);
    for (const [bits, cols] of [2, 3, 4, 8].flatMap((bits) => [32, 128, 300].map((cols) => [bits, cols] as const))) {
      const spec = { kind: 'int', bits, scheme: 'asymmetric', granularity: { kind: 'channel' }, scaleType: 'F32' } as const;
      const most = 2 ** bits - 1;
      const params = Array.from({ length: 20 }, (_, row) => ({ scale: 1, zero: row < 5 ? 0 : row < 10 ? most : 1 }));
      const codes = { rows: 20, cols, spec, params, codes: new Uint8Array(20 * cols).fill(most) } as QuantizedMatrix;
      for (const value of [-4, 4]) {
        for (const m of [1, 3, 14]) {
          const x = new Float32Array(m * cols).fill(value);
          const want = Float32Array.from({ length: m * 20 }, (_, i) => (most - params[i % 20]!.zero) * value * cols);
          for (const backend of backends()) {
            const got = await product(backend, ({ weights }) => weights!.upload(codes, { activations }), x, undefined, m);
            expect(relativeError(got, want)).toBeLessThanOrEqual(1e-6);
          }
        }
      }
    }
  });

  it.for(precisions)('x that is not finite gives results that are not, with %s activations', async (activations, { skip }) => {
    needForms(skip, activations);
    const format = createFormat({
      kind: 'int',
      bits: 4,
      scheme: 'symmetric-full',
      granularity: { kind: 'group', size: 32 },
      scaleType: 'F32',
    });
    const codes = encodeMatrix(matrix(5, 70, values(350, 1)), format);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      for (const m of [1, 20]) {
        const x = values(m * 70, 2);
        x[m * 70 - 3] = bad;
        for (const backend of backends()) {
          const got = await product(backend, ({ weights }) => weights!.upload(codes, { activations }), x, undefined, m);
          expect(got.subarray(-5).every((value) => !Number.isFinite(value))).toBe(true);
          expect(got.subarray(0, (m - 1) * 5).every(Number.isFinite)).toBe(true);
        }
      }
    }
  });

  outliersContract(backends, product, needForms);
  weightsRefusals(backends, needForms);
}
