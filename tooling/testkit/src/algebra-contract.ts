import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Backend, referenceAlgebra } from '../../../packages/kernels/src/index.js';
import { relativeError, sameBits } from './backend-contract.js';
import { opTolerances } from './tolerances.js';
import { values } from './values.js';

/** The algebra part of the backend contract; each check runs on every backend given and wants the same bits from all. */
export function algebraContract(backends: () => readonly Backend[]): void {
  const property = <T>(arbitrary: fc.Arbitrary<T>, holds: (value: T) => void, runs = 15) =>
    fc.assert(fc.property(arbitrary, holds), { numRuns: runs, seed: 1 });
  const size = (max: number) => fc.integer({ min: 1, max });
  const seed = fc.nat(1000);

  const agree = (run: (on: Backend['algebra']) => Float64Array | undefined, limit: number) => {
    const want = run(referenceAlgebra)!;
    const results = backends().map(({ algebra }) => run(algebra)!);
    for (const got of results) {
      expect(relativeError(got, want)).toBeLessThanOrEqual(limit);
      expect(sameBits(got, results[0]!)).toBe(true);
    }
  };

  it('gram adds xᵀy; its upper triangle when y is x', () =>
    property(
      fc.record({ m: fc.oneof(size(20), size(1100)), a: fc.oneof(size(60), size(60), fc.constant(170)), b: size(40), seed }),
      ({ m, a, b, seed }) => {
        const x = { rows: m, cols: a, data: values(m * a, seed) };
        const y = { rows: m, cols: b, data: values(m * b, seed + 1) };
        const summed = (on: Backend['algebra'], other: typeof x) => {
          const into = new Float64Array(a * other.cols).fill(0.5);
          on.gram(x, other, into);
          on.gram(x, other, into);
          return into;
        };
        agree((on) => summed(on, y), opTolerances.gram);
        agree((on) => summed(on, { ...x }), opTolerances.gram);
        agree((on) => upperTriangle(summed(on, x), a), opTolerances.gram);
      },
    ));

  it('inverseCholesky factors the inverse, and says when there is none', () =>
    property(fc.record({ n: fc.oneof(size(10), size(200)), seed }), ({ n, seed }) => {
      const h = definite(n, seed);
      const kept = h.slice();
      agree((on) => on.inverseCholesky(h, n), opTolerances.factor);
      expect(sameBits(h, kept)).toBe(true);
      for (const { algebra } of backends()) {
        const u = algebra.inverseCholesky(h, n)!;
        // h·(UᵀU) = 1
        const product = referenceAlgebra.product(referenceAlgebra.product(h, transposed(u, n), n, n, n), u, n, n, n);
        expect(relativeError(product, identity(n))).toBeLessThanOrEqual(opTolerances.factor);
        expect(u.every((value, at) => value === 0 || at % n >= Math.floor(at / n))).toBe(true);
        const broken = h.slice();
        broken[(seed % n) * (n + 1)] = -1;
        expect(algebra.inverseCholesky(broken, n)).toBeUndefined();
        expect(algebra.solve(broken, n, new Float64Array(n), 1)).toBeUndefined();
        expect(algebra.inverseCholesky(new Float64Array(n * n).fill(Number.NaN), n)).toBeUndefined();
      }
    }));

  it('solve', () =>
    property(fc.record({ n: size(150), rows: size(30), seed }), ({ n, rows, seed }) => {
      const h = definite(n, seed);
      const b = Float64Array.from(values(rows * n, seed + 1));
      agree((on) => on.solve(h, n, b, rows), opTolerances.factor);
    }));

  it('product and subtractProduct', () =>
    property(fc.record({ rows: size(90), k: size(140), n: size(100), skip: fc.nat(99), above: fc.nat(5), seed }), (shape) => {
      const { rows, k, n, above, seed } = shape;
      const cStart = shape.skip % n;
      const a = Float64Array.from(values(rows * k, seed));
      const b = Float64Array.from(values((above + k) * n, seed + 1));
      const c = Float64Array.from(values(rows * n, seed + 2));
      agree((on) => on.product(a, b, rows, k, n), opTolerances.product);
      agree((on) => {
        const out = c.slice();
        on.subtractProduct(out, a, b, { rows, k, n, bRow: above, cStart });
        return out;
      }, opTolerances.product);
    }));
}

/** A random symmetric positive definite matrix of moderate condition. */
function definite(n: number, seed: number): Float64Array {
  const x = { rows: 2 * n, cols: n, data: values(2 * n * n, seed) };
  const h = new Float64Array(n * n);
  referenceAlgebra.gram(x, { ...x }, h);
  for (let i = 0; i < n; i++) h[i * (n + 1)]! += 0.1 * n;
  return h;
}

/** Zeros below the diagonal. */
function upperTriangle(h: Float64Array, n: number): Float64Array {
  return h.map((value, at) => (at % n < Math.floor(at / n) ? 0 : value));
}

function identity(n: number): Float64Array {
  return Float64Array.from({ length: n * n }, (_, at) => (at % (n + 1) === 0 ? 1 : 0));
}

function transposed(a: Float64Array, n: number): Float64Array {
  return Float64Array.from(a, (_, i) => a[(i % n) * n + Math.floor(i / n)]!);
}
