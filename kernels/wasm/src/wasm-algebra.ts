import type { Algebra } from '@fewbit/kernels';
import * as id from './control.js';
import type { Engine } from './engine.js';

/** Rows whose products are summed in float32 before they are added in double. */
const gramRows = 512;
/** Rows of c per task of a product in double. */
const taskRows = 160;

/** Dense algebra on host arrays: operands are copied in, results out. */
export function wasmAlgebra(engine: Engine): Algebra {
  const { heap } = engine;
  const doubles = (address: number, length: number) => new Float64Array(heap.memory.buffer, address, length);
  const floats = (address: number, length: number) => new Float32Array(heap.memory.buffer, address, length);

  /** Runs `body` with blocks of the given bytes, which it may write to, then frees them. */
  const within = <R>(sizes: readonly number[], body: (...addresses: number[]) => R): R => {
    const addresses: number[] = [];
    engine.settle();
    try {
      for (const size of sizes) addresses.push(heap.allocate(size));
      return body(...addresses);
    } finally {
      for (const address of addresses) heap.free(address);
    }
  };

  /** c += sign·a·b, all in shared memory; strides in bytes. */
  const multiply = (
    a: { at: number; row: number; rows: number; k: number },
    b: { at: number; row: number; column: number; columns: number },
    c: { at: number; row: number },
    sign: number,
    lower: boolean,
  ) => {
    const panels = Math.ceil(a.rows / id.tileRows);
    const left = heap.allocate(panels * id.tileRows * a.k * 8);
    engine.run(id.packLeftDouble, panels, [a.at, a.row, 8, a.rows, a.k, left]);
    const rowBlocks = Math.ceil(a.rows / taskRows);
    const tasks = rowBlocks * Math.ceil(b.columns / id.taskColumns);
    const values = [left, b.at, b.row, b.column, c.at, c.row, a.rows, a.k, b.columns, rowBlocks, taskRows, sign, lower ? 1 : 0];
    engine.run(id.multiplyDouble, tasks, values, { scratch: 256 + id.taskColumns * id.depthDouble * 8 });
    heap.free(left);
  };

  /** Lower Cholesky factor in place, by blocks to the right (Golub and Van Loan, section 4.2.6); what is above the diagonal stays. */
  const factor = (at: number, n: number): boolean =>
    within([8], (failure) => {
      doubles(failure!, 1)[0] = 0;
      const row = n * 8;
      for (let j = 0; j < n; j += id.blockSize) {
        const size = Math.min(id.blockSize, n - j);
        const corner = at + j * row + j * 8;
        engine.run(id.choleskyDiagonal, 1, [corner, row, size, failure!]);
        const rows = n - j - size;
        if (rows === 0) break;
        const panel = corner + size * row;
        engine.run(id.choleskyPanel, Math.ceil(rows / 4), [corner, row, size, panel, rows]);
        multiply(
          { at: panel, row, rows, k: size },
          { at: panel, row: 8, column: row, columns: rows },
          { at: panel + size * 8, row },
          -1,
          true,
        );
      }
      engine.settle();
      return doubles(failure!, 1)[0] === 0;
    });

  const inverseCholesky = (h: Float64Array, n: number): Float64Array | undefined =>
    within([n * n * 8, n * n * 8], (lower, inverse) => {
      // h⁻¹ = Uᵀ·U is h = R·Rᵀ with R = U⁻¹ upper: a lower factor once rows and columns are reversed, which reverses the flat array.
      const reversed = doubles(lower, n * n);
      for (let i = 0, last = n * n - 1; i <= last; i++) reversed[i] = h[last - i]!;
      if (!factor(lower, n)) return undefined;
      const result = doubles(inverse, n * n).fill(0);
      const strips = Math.ceil(n / id.taskColumns);
      const scratch = 256 + (id.blockSize * id.taskColumns + (id.blockSize + id.taskColumns) * n) * 8;
      engine.run(id.inverseLower, strips, [lower, inverse, n], { scratch });
      engine.settle();
      const upper = new Float64Array(n * n);
      for (let i = 0, last = n * n - 1; i <= last; i++) upper[i] = result[last - i]!;
      return upper;
    });

  const product = (a: Float64Array, b: Float64Array, rows: number, k: number, n: number): Float64Array =>
    within([rows * k * 8, k * n * 8, rows * n * 8], (left, right, out) => {
      doubles(left, rows * k).set(a.subarray(0, rows * k));
      doubles(right, k * n).set(b.subarray(0, k * n));
      doubles(out, rows * n).fill(0);
      multiply({ at: left, row: k * 8, rows, k }, { at: right, row: n * 8, column: 8, columns: n }, { at: out, row: n * 8 }, 1, false);
      engine.settle();
      return doubles(out, rows * n).slice();
    });

  return {
    gram(x, y, into) {
      const [a, b] = [x.cols, y.cols];
      const same = y === x;
      const deepest = Math.min(gramRows, x.rows);
      const [aPanels, bPanels] = [Math.ceil(a / id.tileRows), Math.ceil(b / id.tileColumns)];
      const sizes = [
        deepest * a * 4,
        deepest * b * 4,
        aPanels * id.tileRows * deepest * 4,
        bPanels * id.tileColumns * deepest * 4,
        a * b * 8,
      ];
      within(sizes, (xAt, yAt, left, right, out) => {
        doubles(out!, a * b).fill(0);
        for (let first = 0; first < x.rows; first += gramRows) {
          const rows = Math.min(gramRows, x.rows - first);
          floats(xAt!, rows * a).set(x.data.subarray(first * a, (first + rows) * a));
          if (!same) floats(yAt!, rows * b).set(y.data.subarray(first * b, (first + rows) * b));
          engine.run(id.packLeft, aPanels, [xAt!, 4, a * 4, a, rows, left!]);
          engine.run(id.packRight, bPanels, [same ? xAt! : yAt!, b * 4, 4, b, rows, right!]);
          const across = Math.ceil(b / id.gramSide);
          engine.run(id.gram, Math.ceil(a / id.gramSide) * across, [left!, right!, out!, rows, a, b, across, same ? 1 : 0], {
            scratch: 256,
          });
          engine.settle();
        }
        const sums = doubles(out!, a * b);
        for (let i = 0; i < sums.length; i++) into[i]! += sums[i]!;
      });
    },

    inverseCholesky,

    /** x = b·h⁻¹ = (b·Uᵀ)·U. */
    solve(h, n, b, rows) {
      const upper = inverseCholesky(h, n);
      if (!upper) return undefined;
      const transposed = new Float64Array(n * n);
      for (let i = 0; i < n; i++) for (let j = i; j < n; j++) transposed[j * n + i] = upper[i * n + j]!;
      return product(product(b, transposed, rows, n, n), upper, rows, n, n);
    },

    subtractProduct(c, a, b, { rows, k, n, bRow, cStart }) {
      const columns = n - cStart;
      if (columns <= 0) return;
      within([rows * k * 8, k * columns * 8, rows * columns * 8], (left, right, out) => {
        doubles(left!, rows * k).set(a.subarray(0, rows * k));
        const [rightView, outView] = [doubles(right!, k * columns), doubles(out!, rows * columns)];
        for (let p = 0; p < k; p++) rightView.set(b.subarray((bRow + p) * n + cStart, (bRow + p + 1) * n), p * columns);
        for (let i = 0; i < rows; i++) outView.set(c.subarray(i * n + cStart, (i + 1) * n), i * columns);
        const row = columns * 8;
        multiply({ at: left!, row: k * 8, rows, k }, { at: right!, row, column: 8, columns }, { at: out!, row }, -1, false);
        engine.settle();
        for (let i = 0; i < rows; i++) c.set(outView.subarray(i * columns, (i + 1) * columns), i * n + cStart);
      });
    },

    product,
  };
}
