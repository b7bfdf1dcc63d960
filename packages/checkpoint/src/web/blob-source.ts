import { FewbitError } from '@fewbit/core';
import { checkRange } from '../check-range.js';
import type { ByteSource } from '../types.js';

/** A `Blob`, which a `File` is too: what a page has fetched, or a file that its user has chosen, read by position. */
export function blobSource(blob: Blob, name = 'blob'): ByteSource {
  return {
    name,
    size: blob.size,
    async read(offset, length) {
      checkRange(name, blob.size, offset, length);
      try {
        return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
      } catch (cause) {
        const from = `${length} bytes from byte ${offset}`;
        throw new FewbitError('checkpoint', `${name}: ${from} cannot be read: ${(cause as Error).message}.`, { cause });
      }
    },
    async close() {},
  };
}
