export type { AttentionPlan, BlockPlan, LinearPlan, MlpPlan, ModelPlan, NormPlan, Projections, Scaling, Site } from './types.js';
