import fc from 'fast-check';
import { expect, it } from 'vitest';
import { atOnce, matrix, random } from '../../../packages/core/src/index.js';
import { createFormat, decodeMatrix, encodeMatrix, type QuantizedMatrix, sparseMatrix } from '../../../packages/formats/src/index.js';
import type { Backend } from '../../../packages/kernels/src/index.js';
import { relativeError, sameBits } from './backend-contract.js';
import { formatNames, formatSpecs } from './format-specs.js';
import { checkProducts, wholeBlocks } from './products-contract.js';
import { opTolerances } from './tolerances.js';
import { values } from './values.js';
import type { NeedForms, Product } from './weights-contract.js';

/** Products and rows of weights that have outliers beside their codes. */
export function outliersContract(backends: () => readonly Backend[], product: Product, needForms: NeedForms): void {
  const size = (max: number) => fc.integer({ min: 1, max });
  const cases = fc.record({
    m: fc.oneof(size(5), size(60)),
    cols: size(400),
    rows: size(150),
    format: fc.oneof(...formatNames.map((name) => formatSpecs[name].map((spec) => ({ name, spec })))),
    pattern: fc.constantFrom<Pattern>('none', 'few', 'many', 'one row', 'all'),
    bias: fc.boolean(),
    seed: fc.nat(1000),
  });

  it.for(['int16', 'int8'] as const)('matmul by codes with outliers and %s activations', (activations, { skip }) => {
    needForms(skip, activations);
    return fc.assert(
      fc.asyncProperty(cases, async ({ m, rows, format: { name, spec }, pattern, bias, seed, ...shape }) => {
        const cols = wholeBlocks(spec, shape.cols);
        const codes = withOutliers(encodeMatrix(matrix(rows, cols, values(rows * cols, seed, 0.05)), createFormat(spec)), pattern, seed);
        await checkProducts(name, backends(), product, codes, {
          ...{ activations, x: values(m * cols, seed + 1, 2), m },
          ...(bias && { bias: values(rows, seed + 2) }),
        });
      }),
      { numRuns: 80, seed: 1 },
    );
  });

  it('embed by codes with outliers, these exactly', ({ skip }) => {
    needForms(skip);
    return fc.assert(
      fc.asyncProperty(cases, async ({ m, rows, format: { spec }, pattern, seed, ...shape }) => {
        const cols = wholeBlocks(spec, shape.cols);
        const codes = withOutliers(encodeMatrix(matrix(rows, cols, values(rows * cols, seed, 0.05)), createFormat(spec)), pattern, seed);
        const { starts, columns, values: kept } = codes.outliers!;
        const tokens = Uint32Array.from({ length: m }, (_, i) => (i * 7 + seed) % rows);
        const { data } = decodeMatrix(codes);
        for (const backend of backends()) {
          if (backend.weights!.rejects(codes) !== undefined) continue;
          const table = atOnce(backend.weights!.upload(codes));
          const found = backend.ops.embed(table, tokens);
          const got = await backend.download(found);
          for (const tensor of [table, found]) backend.free(tensor);
          for (const [at, token] of tokens.entries()) {
            const line = got.subarray(at * cols, (at + 1) * cols);
            expect(relativeError(line, data.subarray(token * cols, (token + 1) * cols))).toBeLessThanOrEqual(opTolerances.decode);
            for (let i = starts[token]!; i < starts[token + 1]!; i++) expect(line[columns[i]!]).toBe(kept[i]);
          }
        }
      }),
      { numRuns: 40, seed: 1 },
    );
  });

  it('products of one x by several weights with outliers have the bits that each has alone', async ({ skip }) => {
    needForms(skip);
    const cols = 200;
    const format = createFormat({ kind: 'int', bits: 4, scheme: 'asymmetric', granularity: { kind: 'group', size: 40 }, scaleType: 'F16' });
    const patterns: readonly Pattern[] = ['few', 'none', 'one row', 'many', 'few'];
    const weights = patterns.map((pattern, i) =>
      withOutliers(encodeMatrix(matrix(70 - 9 * i, cols, values((70 - 9 * i) * cols, i, 0.05)), format), pattern, i),
    );
    weights[1] = encodeMatrix(matrix(70, cols, values(70 * cols, 9, 0.05)), format);
    for (const backend of backends()) {
      if (backend.weights!.rejects(weights[0]!) !== undefined) continue;
      for (const m of [1, 3, 30]) {
        const x = values(m * cols, 7, 2);
        const alone: Float32Array[] = [];
        for (const codes of weights) alone.push(await product(backend, (on) => atOnce(on.weights!.upload(codes)), x, undefined, m));
        const held = weights.map((codes) => atOnce(backend.weights!.upload(codes)));
        const input = backend.upload(x, [m, cols]);
        const together = held.map((w) => backend.ops.matmul(input, w));
        for (const [i, tensor] of together.entries())
          expect(sameBits(await backend.download(tensor), alone[i]!), `weight ${i}, m ${m}`).toBe(true);
        for (const tensor of [...held, ...together, input]) backend.free(tensor);
      }
    }
  });
}

type Pattern = 'none' | 'few' | 'many' | 'one row' | 'all';

const shares: Readonly<Record<Pattern, number>> = { none: 0, few: 0.01, many: 0.2, 'one row': 0.001, all: 1 };

function withOutliers(codes: QuantizedMatrix, pattern: Pattern, seed: number): QuantizedMatrix {
  const { rows, cols } = codes;
  const { uniform, normal, below } = random(seed);
  const whole = pattern === 'one row' ? below(rows) : rows;
  const places = Array.from({ length: rows * cols }, (_, at) => at).filter(
    (at) => Math.floor(at / cols) === whole || uniform() < shares[pattern],
  );
  return {
    ...codes,
    outliers: sparseMatrix(
      rows,
      cols,
      places,
      places.map(() => 0.3 * normal()),
      'F16',
    ),
  };
}
