export { checkTensors } from './check-tensors.js';
export { attentionModule, blockLinears, linears } from './linears.js';
export { planModel, type TensorNames } from './plan-model.js';
export type { AttentionPlan, BlockPlan, LinearPlan, MlpPlan, ModelPlan, NormPlan, Projections, Scaling, Site } from './types.js';
