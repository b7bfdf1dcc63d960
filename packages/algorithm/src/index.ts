export type { LayerContext, Method, Rewrite, Solved, Solver, Transform, TransformContext } from './types.js';
