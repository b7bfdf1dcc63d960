import type { Algebra } from '@fewbit/kernels';
import type { Engine } from './addon.js';

/** Dense algebra in place on host arrays. */
export function cpuAlgebra(engine: Engine): Algebra {
  return {
    gram: (x, y, into) => engine.gram(x.data, y === x ? undefined : y.data, into, x.rows, x.cols, y.cols),
    inverseCholesky(h, n) {
      const upper = new Float64Array(n * n);
      return engine.inverseCholesky(h, upper, n) ? upper : undefined;
    },
    solve(h, n, b, rows) {
      const x = new Float64Array(rows * n);
      return engine.solve(h, n, b, x, rows) ? x : undefined;
    },
    subtractProduct(c, a, b, { rows, k, n, bRow, cStart }) {
      if (cStart < n) engine.subtractProduct(c, a, b, rows, k, n, bRow, cStart);
    },
    product(a, b, rows, k, n) {
      const out = new Float64Array(rows * n);
      engine.product(a, b, out, rows, k, n);
      return out;
    },
  };
}
