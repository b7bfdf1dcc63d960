export { ggmlFormat } from './ggml-format.js';
export { type GgmlTypeName, ggmlType, ggmlTypeNames } from './ggml-types.js';
export { gguf } from './layout.js';
export type { BlockParams } from './simple-format.js';
export type { SuperParams } from './super-format.js';
