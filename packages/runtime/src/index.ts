export type { BlockCache, BlockStages, BlockWeights, Stage, StageContext, StageState, WeightSource } from './types.js';
