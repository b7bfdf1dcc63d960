export { applyRewrite, type Weights } from './apply-rewrite.js';
export { outputError, weightError } from './errors.js';
export { rewriteDrift } from './rewrite-drift.js';
export type { LayerContext, Method, Rewrite, Solved, Solver, Transform, TransformContext } from './types.js';
