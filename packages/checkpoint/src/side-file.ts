import { FewbitError } from '@fewbit/core';
import { fileSource } from './file-source.js';

/** The largest tokenizer.json files are near 35 MB; a string of JavaScript ends at 512 MB. */
const maxBytes = 256 * 2 ** 20;

/** A whole small file. Throws `config` when it is larger than any side file of a model, `checkpoint` when it cannot be read. */
export async function readSideFile(path: string): Promise<Uint8Array> {
  const source = await fileSource(path);
  try {
    if (source.size > maxBytes) {
      throw new FewbitError('config', `${path} has ${source.size} bytes; a side file of a model has at most ${maxBytes}.`);
    }
    return await source.read(0, source.size);
  } finally {
    await source.close();
  }
}
