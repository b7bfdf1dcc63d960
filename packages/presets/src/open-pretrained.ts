import { openModelDirectory } from '@fewbit/checkpoint';
import type { Backend } from '@fewbit/kernels';
import { endTokens, type ModelOptions, openModel, openWeights } from '@fewbit/runtime';
import { openTokenizer } from '@fewbit/tokenizer';
import { layouts } from './layouts.js';
import type { Pretrained } from './types.js';

/** Opens a model directory, float or quantized, with its tokenizer, on a backend; options as for `openModel`. */
export async function openPretrained(
  path: string,
  backend: Backend,
  options: Pick<ModelOptions, 'activations' | 'keyValues'> = {},
): Promise<Pretrained> {
  const directory = await openModelDirectory(path, backend.mapper && { mapper: backend.mapper });
  try {
    const tokenizer = await openTokenizer(directory);
    const source = await openWeights(directory, layouts);
    const model = await openModel(source, backend, options);
    return {
      path,
      model,
      tokenizer,
      eos: await endTokens(directory),
      close: () => model.close(),
    };
  } finally {
    await directory.close();
  }
}
