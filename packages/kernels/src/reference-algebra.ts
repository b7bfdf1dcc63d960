import type { Algebra } from './types.js';

/** Each algebra function as plainly as it can be said, in double. */
export const referenceAlgebra: Algebra = {
  gram(x, y, into) {
    const [a, b] = [x.cols, y.cols];
    for (let i = 0; i < a; i++) {
      for (let j = y === x ? i : 0; j < b; j++) {
        let sum = 0;
        for (let r = 0; r < x.rows; r++) sum += x.data[r * a + i]! * y.data[r * b + j]!;
        into[i * b + j]! += sum;
      }
    }
  },

  /** h⁻¹ = Uᵀ·U is h = R·Rᵀ with R = U⁻¹ upper triangular: the Cholesky factor of h read backwards, since reversing rows and columns turns lower into upper. */
  inverseCholesky(h, n) {
    const lower = cholesky(h.toReversed(), n);
    return lower && inverseLower(lower, n).reverse();
  },

  solve(h, n, b, rows) {
    const lower = cholesky(h, n);
    if (!lower) return undefined;
    const x = b.slice();
    for (let r = 0; r < rows; r++) {
      const row = x.subarray(r * n, (r + 1) * n);
      for (let i = 0; i < n; i++) {
        for (let p = 0; p < i; p++) row[i]! -= lower[i * n + p]! * row[p]!;
        row[i]! /= lower[i * n + i]!;
      }
      for (let i = n - 1; i >= 0; i--) {
        for (let p = i + 1; p < n; p++) row[i]! -= lower[p * n + i]! * row[p]!;
        row[i]! /= lower[i * n + i]!;
      }
    }
    return x;
  },

  subtractProduct(c, a, b, { rows, k, n, bRow, cStart }) {
    for (let i = 0; i < rows; i++) {
      for (let p = 0; p < k; p++) {
        const left = a[i * k + p]!;
        for (let j = cStart; j < n; j++) c[i * n + j]! -= left * b[(bRow + p) * n + j]!;
      }
    }
  },

  product(a, b, rows, k, n) {
    const c = new Float64Array(rows * n);
    for (let i = 0; i < rows; i++) {
      for (let p = 0; p < k; p++) {
        const left = a[i * k + p]!;
        for (let j = 0; j < n; j++) c[i * n + j]! += left * b[p * n + j]!;
      }
    }
    return c;
  },
};

/** Lower triangular L with h = L·Lᵀ, zeros above; undefined when h is not positive definite. */
function cholesky(h: Float64Array, n: number): Float64Array | undefined {
  const lower = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = h[i * n + j]!;
      for (let p = 0; p < j; p++) sum -= lower[i * n + p]! * lower[j * n + p]!;
      if (i !== j) lower[i * n + j] = sum / lower[j * n + j]!;
      else if (sum > 0 && sum < Number.POSITIVE_INFINITY) lower[i * n + i] = Math.sqrt(sum);
      else return undefined;
    }
  }
  return lower;
}

function inverseLower(lower: Float64Array, n: number): Float64Array {
  const inverse = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const row = inverse.subarray(i * n, i * n + i + 1);
    row[i] = 1;
    for (let p = 0; p < i; p++) {
      const left = lower[i * n + p]!;
      for (let j = 0; j <= p; j++) row[j]! -= left * inverse[p * n + j]!;
    }
    for (let j = 0; j <= i; j++) row[j]! /= lower[i * n + i]!;
  }
  return inverse;
}
