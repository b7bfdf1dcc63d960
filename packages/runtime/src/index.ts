export type { DrawnSequence, SequenceTokens } from './batch.js';
export { blockStages, keysAndValues } from './block-stages.js';
export { type Chat, type ChatOptions, createChat } from './chat.js';
export { endTokens } from './end-tokens.js';
export { type GenerateOptions, type GenerateSummary, generate } from './generate.js';
export { embedTokens, freeGlobals, type Globals, headLogits, loadGlobals } from './globals.js';
export { type BlockForms, type CachedModel, createCache, type KeyValueCache } from './key-value-cache.js';
export { freeBlock, loadActivations, loadBlock } from './load-block.js';
export type { LoadedWeight, WeightOptions } from './load-linear.js';
export { memoryWeights, overlay } from './memory-weights.js';
export { type LogitsOptions, type Model, type ModelOptions, openModel } from './open-model.js';
export { openWeights } from './open-weights.js';
export { draws, type SamplingOptions, sampler } from './sampling.js';
export type {
  BlockActivations,
  BlockCache,
  BlockStages,
  BlockWeights,
  SequenceRows,
  Stage,
  StageContext,
  StageState,
  StoredWeight,
  WeightSource,
} from './types.js';
