import { FewbitError } from '@fewbit/core';
import type { ByteSource } from './types.js';

/** The largest tokenizer.json files are near 35 MB; a string of JavaScript ends at 512 MB. */
const maxBytes = 256 * 2 ** 20;

/** A whole small file, which is closed. Throws `config` when it is larger than any side file of a model, `checkpoint` when it cannot be read. */
export async function readSideFile(source: ByteSource): Promise<Uint8Array> {
  try {
    if (source.size > maxBytes) {
      throw new FewbitError('config', `${source.name} has ${source.size} bytes; a side file of a model has at most ${maxBytes}.`);
    }
    return await source.read(0, source.size);
  } finally {
    await source.close();
  }
}
