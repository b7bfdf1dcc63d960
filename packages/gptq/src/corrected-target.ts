import type { Algebra } from '@fewbit/kernels';
import { meanDiagonal } from './inverse-factor.js';

/**
 * The weight that on the quantized stream's inputs x comes nearest to the untouched layer's output on its own inputs xf:
 * W* = W + W·(C − H)·(H + λI)⁻¹ [rows, n], C = E[xf·xᵀ], H = E[x·xᵀ], λ = damping·mean(diag H); with λ = 0 it minimises
 * E‖W·xf − W*·x‖². The idea of GPTAQ (arXiv 2504.02692) and Qronos (arXiv 2505.11695), taken as a change of the target before
 * the sweep. Undefined when H + λI is not positive definite.
 */
export function correctedTarget(
  weight: Float64Array,
  { h, c, n, damping }: { h: Float64Array; c: Float64Array; n: number; damping: number },
  algebra: Pick<Algebra, 'product' | 'solve'>,
): Float64Array | undefined {
  const rows = weight.length / n;
  const damped = Float64Array.from(h);
  const lambda = damping * meanDiagonal(h, n);
  for (let i = 0; i < n; i++) damped[i * n + i]! += lambda;
  const difference = c.map((value, i) => value - h[i]!);
  const move = algebra.solve(damped, n, algebra.product(weight, difference, rows, n, n), rows);
  return move?.map((value, i) => weight[i]! + value);
}
