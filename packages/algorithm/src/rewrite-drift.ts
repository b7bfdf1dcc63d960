import type { Matrix } from '@fewbit/core';
import { applyRewrite, type Weights } from './apply-rewrite.js';
import { squaredDistance, squaredNorm } from './errors.js';
import type { Rewrite } from './types.js';

/**
 * How far rewrites move what the model computes: ‖run(after) − run(before)‖/‖run(before)‖, about 1e-6 for an exact rewrite in float32.
 * `run` is the model, or the part of it that the rewrites touch.
 */
export function rewriteDrift(rewrites: readonly Rewrite[], weights: Weights, run: (weights: Weights) => Matrix): number {
  const before = run(weights);
  const rewritten = new Map(weights);
  for (const rewrite of rewrites) {
    for (const [name, tensor] of applyRewrite(rewrite, rewritten)) rewritten.set(name, tensor);
  }
  const after = run(rewritten);
  return Math.sqrt(squaredDistance(after.data, before.data) / squaredNorm(before.data));
}
