/** Reading, without anything of Node.js: for web pages, and for what has to run in them. */
export { memorySource } from '../memory-source.js';
export { quantizationConfig } from '../quantization-config.js';
export { readSafetensors } from '../read-safetensors.js';
export type { ByteSource, CheckpointReader, ModelDirectory, TensorInfo } from '../types.js';
export { blobSource } from './blob-source.js';
export { openModelFiles } from './open-model-files.js';
