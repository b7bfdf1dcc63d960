export { fewbitError } from './fewbit-error.js';
export { floatSafetensors, safetensorsBytes } from './safetensors-bytes.js';
export { embeddedModel, shared } from './shared.js';
export { temporaryFolder } from './temporary-folder.js';
