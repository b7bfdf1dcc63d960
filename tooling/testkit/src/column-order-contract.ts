import fc from 'fast-check';
import { expect, it } from 'vitest';
import { atOnce, matrix } from '../../../packages/core/src/index.js';
import { createFormat, decodeMatrix, encodeMatrix } from '../../../packages/formats/src/index.js';
import type { Backend } from '../../../packages/kernels/src/index.js';
import { relativeError } from './backend-contract.js';
import { formatNames, formatSpecs } from './format-specs.js';
import { checkProducts } from './products-contract.js';
import { shuffledGroups } from './shuffled-groups.js';
import { opTolerances } from './tolerances.js';
import { values } from './values.js';
import type { NeedForms, Product } from './weights-contract.js';

/** Products and rows of weights whose columns are in groups out of order (act-order). */
export function columnOrderContract(backends: () => readonly Backend[], product: Product, needForms: NeedForms): void {
  const size = (max: number) => fc.integer({ min: 1, max });
  const names = formatNames.filter((name) => !name.startsWith('ggml'));
  const cases = fc.record({
    m: fc.oneof(fc.constant(1), size(5), size(60)),
    cols: size(400),
    rows: size(100),
    format: fc.oneof(...names.map((name) => formatSpecs[name].map((spec) => ({ name, spec })))),
    bias: fc.boolean(),
    seed: fc.nat(1000),
  });

  it.for(['int16', 'int8'] as const)('matmul by columns in groups out of order with %s activations', (activations, { skip }) => {
    needForms(skip, activations);
    return fc.assert(
      fc.asyncProperty(cases, async ({ m, cols, rows, format: { name, spec }, bias, seed }) => {
        const inOrder = encodeMatrix(matrix(rows, cols, values(rows * cols, seed, 0.05)), createFormat(spec));
        const codes = shuffledGroups(inOrder, seed);
        for (const { weights } of backends()) expect(weights!.rejects(codes)).toBe(weights!.rejects(inOrder));
        await checkProducts(name, backends(), product, codes, {
          ...{ activations, x: values(m * cols, seed + 1, 2), m },
          ...(bias && { bias: values(rows, seed + 2) }),
        });
      }),
      { numRuns: 100, seed: 1 },
    );
  });

  it('embed by columns in groups out of order gives the decoded rows', ({ skip }) => {
    needForms(skip);
    return fc.assert(
      fc.asyncProperty(cases, async ({ m, cols, rows, format: { spec }, seed }) => {
        const codes = shuffledGroups(encodeMatrix(matrix(rows, cols, values(rows * cols, seed, 0.05)), createFormat(spec)), seed);
        const { data } = decodeMatrix(codes);
        const tokens = Uint32Array.from({ length: m }, (_, i) => (i * 7 + seed) % rows);
        const want = Float32Array.from({ length: m * cols }, (_, i) => data[tokens[Math.floor(i / cols)]! * cols + (i % cols)]!);
        for (const backend of backends()) {
          if (backend.weights!.rejects(codes) !== undefined) continue;
          const before = backend.bytes;
          const table = atOnce(backend.weights!.upload(codes));
          const found = backend.ops.embed(table, tokens);
          const got = await backend.download(found);
          for (const tensor of [table, found]) backend.free(tensor);
          expect(relativeError(got, want)).toBeLessThanOrEqual(opTolerances.decode);
          expect(backend.bytes).toBe(before);
        }
      }),
      { numRuns: 40, seed: 1 },
    );
  });
}
