export type { ByteSource, CheckpointReader, CheckpointWriter, ModelDirectory, TensorInfo } from './types.js';
