export { copyCompanions } from './companions.js';
export { createModelDirectory, type ModelDirectoryOptions } from './create-model-directory.js';
export { fileSource } from './file-source.js';
export { memorySource } from './memory-source.js';
export { openModelDirectory } from './open-model-directory.js';
export { quantizationConfig } from './quantization-config.js';
export { readSafetensors } from './read-safetensors.js';
export type { ByteSource, CheckpointReader, CheckpointWriter, ModelDirectory, TensorInfo } from './types.js';
