import type { Algebra } from '@fewbit/kernels';
import { meanDiagonal } from './inverse-factor.js';

/** What a site's layers move by; `h` and `c` [n, n]. */
export interface Move {
  readonly n: number;
  /** C − H */
  readonly difference: Float64Array;
  /** H + λI */
  readonly damped: Float64Array;
  /** M, once a layer has asked for it; null where H + λI is not positive definite. */
  matrix?: Float64Array | null;
}

/**
 * How weights W [rows, n] of a site move to W* = W + W·M: on the quantized stream's inputs x, W* comes nearest to what the untouched
 * layer gives on its own inputs xf. M = (C − H)·(H + λI)⁻¹, C = E[xf·xᵀ], H = E[x·xᵀ], λ = damping·mean(diag H); with λ = 0 it minimises
 * E‖W·xf − W*·x‖². The idea of GPTAQ (arXiv 2504.02692) and Qronos (arXiv 2505.11695), taken as a change of the target before the sweep.
 */
export function targetMove({ h, c, n, damping }: { h: Float64Array; c: Float64Array; n: number; damping: number }): Move {
  const damped = h.slice();
  const lambda = damping * meanDiagonal(h, n);
  for (let i = 0; i < n; i++) damped[i * n + i]! += lambda;
  const difference = new Float64Array(n * n);
  for (let i = 0; i < difference.length; i++) difference[i] = c[i]! - h[i]!;
  return { n, difference, damped };
}

/** W*, or undefined when H + λI is not positive definite. M serves all layers of a site; a layer with few rows costs less without it. */
export function movedTarget(weight: Float64Array, move: Move, algebra: Pick<Algebra, 'solve' | 'product'>): Float64Array | undefined {
  const { n, difference, damped } = move;
  const rows = weight.length / n;
  const fewRows = rows < n && move.matrix === undefined;
  if (!fewRows && move.matrix === undefined) move.matrix = algebra.solve(damped, n, difference, n) ?? null;
  if (move.matrix === null) return undefined;
  const moved = move.matrix
    ? algebra.product(weight, move.matrix, rows, n, n)
    : algebra.solve(damped, n, algebra.product(weight, difference, rows, n, n), rows);
  if (moved) for (let i = 0; i < moved.length; i++) moved[i]! += weight[i]!;
  return moved;
}
