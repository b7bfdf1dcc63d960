import fc from 'fast-check';
import { expect, it } from 'vitest';
import { atOnce, matrix } from '../../../packages/core/src/index.js';
import {
  createFormat,
  decodeMatrix,
  encodeMatrix,
  type FormatSpec,
  ggmlType,
  type QuantizedMatrix,
} from '../../../packages/formats/src/index.js';
import { type ActivationPrecision, type Backend, referenceBackend } from '../../../packages/kernels/src/index.js';
import { relativeError, sameBits } from './backend-contract.js';
import { type FormatName, formatKinds, formatSpecs } from './format-specs.js';
import { productError } from './product-error.js';
import { opTolerances, productTolerances } from './tolerances.js';
import { values } from './values.js';
import type { NeedForms, Product } from './weights-contract.js';

const precisions: readonly ActivationPrecision[] = ['int16', 'int8'];

/** Products with, and rows of, weights of every format: over random ragged shapes, no further from the decoded weights than tolerances.ts says. */
export function productsContract(backends: () => readonly Backend[], product: Product, needForms: NeedForms): void {
  const size = (max: number) => fc.integer({ min: 1, max });
  const kinds = Object.entries(formatKinds).map(([kind, formats]) => [kind, Object.keys(formats) as FormatName[]] as const);

  it.for(kinds)('matmul by %s is within the tolerance of each format', async ([kind, names], { skip }) => {
    for (const activations of precisions) needForms(skip, activations);
    for (const name of names) {
      const cases = fc.record({
        m: fc.oneof(fc.constant(1), size(5), size(60)),
        cols: fc.oneof(size(600), fc.constantFrom(64, 128, 320, 512, 1024)), // whole vectors take paths of their own
        rows: size(70),
        spec: formatSpecs[name],
        bias: fc.boolean(),
        seed: fc.nat(1000),
      });
      await fc.assert(
        fc.asyncProperty(cases, async ({ m, rows, spec, bias, seed, ...shape }) => {
          const cols = wholeBlocks(spec, shape.cols);
          const codes = encodeMatrix(matrix(rows, cols, values(rows * cols, seed, 0.05)), createFormat(spec));
          const operands = { x: values(m * cols, seed + 1, 2), m, ...(bias && { bias: values(rows, seed + 2) }) };
          if (kind === 'integers') expect(backends().map(({ weights }) => weights!.rejects(codes))).toEqual([undefined, undefined]);
          for (const activations of precisions) await checkProducts(name, backends(), product, codes, { activations, ...operands });
        }),
        { numRuns: kind === 'ggml types' ? 6 : 16, seed: 1 }, // those are slow to encode
      );
    }
  });

  it.for(kinds)('embed by %s gives the decoded rows', async ([kind, names], { skip }) => {
    needForms(skip);
    for (const name of names) {
      const cases = fc.record({ m: size(20), cols: size(400), rows: size(40), spec: formatSpecs[name], seed: fc.nat(1000) });
      await fc.assert(
        fc.asyncProperty(cases, async ({ m, rows, spec, seed, ...shape }) => {
          const cols = wholeBlocks(spec, shape.cols);
          const codes = encodeMatrix(matrix(rows, cols, values(rows * cols, seed, 0.05)), createFormat(spec));
          const decoded = decodeMatrix(codes).data;
          const tokens = Uint32Array.from({ length: m }, (_, i) => (i * 7 + seed) % rows);
          const want = Float32Array.from({ length: m * cols }, (_, i) => decoded[tokens[Math.floor(i / cols)]! * cols + (i % cols)]!);
          for (const backend of backends()) {
            if (backend.weights!.rejects(codes) !== undefined) continue;
            const table = atOnce(backend.weights!.upload(codes));
            const found = backend.ops.embed(table, tokens);
            const got = await backend.download(found);
            for (const tensor of [table, found]) backend.free(tensor);
            if (kind === 'integers') expect(sameBits(got, want), name).toBe(true);
            else expect(relativeError(got, want), name).toBeLessThanOrEqual(opTolerances.decode);
          }
        }),
        { numRuns: 9, seed: 1 },
      );
    }
  });
}

/** x·wᵀ + bias on each backend that takes `codes`: within the tolerance of the format called `name`, the same bits on all of them, and nothing left there. */
export async function checkProducts(
  name: FormatName,
  backends: readonly Backend[],
  product: Product,
  codes: QuantizedMatrix,
  { activations, x, m, bias }: { activations: ActivationPrecision; x: Float32Array; m: number; bias?: Float32Array },
): Promise<void> {
  const { rows, cols } = codes;
  const w = decodeMatrix(codes).data;
  const want = await product(reference, (on) => on.upload(w, [rows, cols]), x, bias, m);
  const results: Float32Array[] = [];
  for (const backend of backends) {
    const weights = backend.weights!;
    if (weights.rejects(codes) !== undefined) continue;
    const before = backend.bytes;
    const got = await product(backend, () => atOnce(weights.upload(codes, { activations })), x, bias, m);
    expect(backend.bytes).toBe(before);
    const precision = weights.rounds(codes) ? activations : 'f32';
    const error = productError(got, want, { x, w, cols, bias });
    expect(error, `${name} with ${precision} activations`).toBeLessThanOrEqual(productTolerances[name][precision]!);
    results.push(got);
    expect(sameBits(got, results[0]!)).toBe(true);
  }
}

/** What a row of about `cols` columns has, where the format lays whole blocks. */
export function wholeBlocks(spec: FormatSpec, cols: number): number {
  if (spec.kind !== 'ggml') return cols;
  const { block } = ggmlType(spec.type);
  return block * Math.ceil(cols / Math.max(block, 300));
}

const reference = referenceBackend();
