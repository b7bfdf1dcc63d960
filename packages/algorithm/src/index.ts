export { applyRewrite, type Weights } from './apply-rewrite.js';
export { type ChosenOutliers, chooseOutliers, type OutlierSearch, type TileFit } from './choose-outliers.js';
export { encodeBeside, outlierType, requireShare } from './encode-beside.js';
export { outputError, weightError } from './errors.js';
export { leaveOut } from './leave-out.js';
export { rewriteDrift } from './rewrite-drift.js';
export type { LayerContext, Method, Rewrite, Solved, Solver, SolverWork, Transform, TransformContext } from './types.js';
