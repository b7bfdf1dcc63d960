import { checkGguf, createGgufFile, type GgufFileOptions, type GgufWriter, type ModelDirectory } from '@fewbit/checkpoint';
import { ggufDescription } from './gguf-description.js';

/**
 * Makes the GGUF file of a model, described by the model's card. Throws now, before any work, what llama.cpp would not run the same
 * (`unsupported`).
 */
export async function ggufWriter(
  directory: ModelDirectory,
  { metadata = new Map(), ...options }: GgufFileOptions = {},
): Promise<(path: string) => Promise<GgufWriter>> {
  await checkGguf(directory);
  const described = new Map([...(await ggufDescription(directory)), ...metadata]);
  return (path) => createGgufFile(path, { ...options, metadata: described });
}
