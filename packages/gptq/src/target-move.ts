import type { Algebra } from '@fewbit/kernels';
import { meanDiagonal } from './inverse-factor.js';

/**
 * M [n, n], by which a weight W [rows, n] moves to W* = W + W·M: on the quantized stream's inputs x, W* comes nearest to what the untouched
 * layer gives on its own inputs xf. M = (C − H)·(H + λI)⁻¹, C = E[xf·xᵀ], H = E[x·xᵀ], λ = damping·mean(diag H); with λ = 0 it minimises
 * E‖W·xf − W*·x‖². The idea of GPTAQ (arXiv 2504.02692) and Qronos (arXiv 2505.11695), taken as a change of the target before the sweep.
 * One M serves all layers of a site. Undefined when H + λI is not positive definite.
 */
export function targetMove(
  { h, c, n, damping }: { h: Float64Array; c: Float64Array; n: number; damping: number },
  algebra: Pick<Algebra, 'solve'>,
): Float64Array | undefined {
  const damped = Float64Array.from(h);
  const lambda = damping * meanDiagonal(h, n);
  for (let i = 0; i < n; i++) damped[i * n + i]! += lambda;
  const difference = c.map((value, i) => value - h[i]!);
  return algebra.solve(damped, n, difference, n);
}

/** W + W·M */
export function movedTarget(weight: Float64Array, move: Float64Array, n: number, algebra: Pick<Algebra, 'product'>): Float64Array {
  return algebra.product(weight, move, weight.length / n, n, n).map((value, i) => weight[i]! + value);
}
