import type { Algebra } from '@fewbit/kernels';

export interface InverseFactor {
  /** U [n, n], upper triangular, (H + λI)⁻¹ = Uᵀ·U, rows and columns in sweep order. */
  readonly upper: Float64Array;
  /** λ ÷ mean(diag H) that made it possible. */
  readonly damping: number;
}

/** How often damping is raised tenfold before GPTQ gives up on a layer. */
export const dampingSteps = 5;

/**
 * The Cholesky factor of the damped inverse Hessian (GPTQ, Frantar et al. 2022, section 3.3 step 3), columns in `order`; undefined when H is
 * not positive definite even at the last step of damping. A dead column (diag 0) becomes a column of its own: its diagonal is set to the
 * mean of the others', so that the result does not depend on the scale of H.
 */
export function inverseFactor(
  h: Float64Array,
  order: Uint32Array,
  damping: number,
  algebra: Pick<Algebra, 'inverseCholesky'>,
): InverseFactor | undefined {
  const n = order.length;
  const mean = meanDiagonal(h, n);
  const permuted = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const row = order[i]! * n;
    for (let j = 0; j < n; j++) permuted[i * n + j] = h[row + order[j]!]!;
    if (permuted[i * n + i] === 0) permuted[i * n + i] = mean;
  }
  let added = 0;
  for (let step = 0; step <= dampingSteps; step++) {
    const fraction = damping * 10 ** step;
    for (let i = 0; i < n; i++) permuted[i * n + i]! += (fraction - added) * mean;
    added = fraction;
    const upper = algebra.inverseCholesky(permuted, n);
    if (upper) return { upper, damping: fraction };
  }
  return undefined;
}

/** Mean of the diagonal over live columns; 1 where none is. */
export function meanDiagonal(h: Float64Array, n: number): number {
  let sum = 0;
  let live = 0;
  for (let i = 0; i < n; i++) {
    const value = h[i * n + i]!;
    sum += value;
    if (value !== 0) live++;
  }
  return live > 0 ? sum / live : 1;
}
