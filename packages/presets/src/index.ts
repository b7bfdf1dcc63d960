export { formatNames, parseFormat } from './formats.js';
export { type InspectedTensor, inspectModel, type ModelInspection } from './inspect-model.js';
export { findLayout, layoutNames } from './layouts.js';
export { createMethod, methodNames } from './methods.js';
export { type BackendChoice, openBackend } from './open-backend.js';
export { openPretrained } from './open-pretrained.js';
export { planQuantize, type QuantizeJob, quantizePretrained } from './quantize-pretrained.js';
export { parseRecipe, type Recipe, type RecipeInput } from './recipe.js';
export type { OpenedBackend, Pretrained, QuantizePlan, QuantizeReport } from './types.js';
