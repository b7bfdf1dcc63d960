export { fewbitError } from './fewbit-error.js';
export { fileHashes } from './file-hashes.js';
export { type GoldenModel, goldenModel, goldenModels } from './golden-models.js';
export { letterTokenizer } from './letter-tokenizer.js';
export { floatSafetensors, safetensorsBytes } from './safetensors-bytes.js';
export { embeddedModel, shared, smollm2 } from './shared.js';
export { temporaryFolder } from './temporary-folder.js';
