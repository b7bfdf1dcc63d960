import { openFolder } from '../folder.js';
import type { ModelDirectory } from '../types.js';
import { blobSource } from './blob-source.js';

/**
 * A Hugging Face model whose files are at hand as blobs, by name: config.json, model.safetensors or shards with their index, tokenizer.json and
 * whatever else it has. Throws `config` and `checkpoint` as `openModelDirectory` does. GGUF files are not read.
 */
export function openModelFiles(files: Readonly<Record<string, Blob>>, path = 'model'): Promise<ModelDirectory> {
  return openFolder({ path, names: Object.keys(files).sort(), open: async (name) => blobSource(files[name]!, `${path}/${name}`) });
}
