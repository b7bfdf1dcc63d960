import type { FileMapper } from '@fewbit/core';
import type { Addon } from './addon.js';

/** Parts of files as memory, until nobody knows them any more. */
export interface NativeFiles extends FileMapper {
  /** Where an ArrayBuffer lies; it does not move. */
  addressOf(buffer: ArrayBuffer): number;
  /** Whether it is a mapped part of a file, which begins with a page. */
  isMap(buffer: ArrayBufferLike): boolean;
}

export function nativeFiles({ mapFile, discard, addressOf }: Pick<Addon, 'mapFile' | 'discard' | 'addressOf'>): NativeFiles {
  const maps = new WeakSet<ArrayBufferLike>();
  return {
    map(descriptor, offset, length) {
      const bytes = mapFile(descriptor, offset, length);
      if (bytes) maps.add(bytes.buffer);
      return bytes;
    },
    release({ buffer }) {
      // of other memory the system would keep nothing
      if (maps.has(buffer)) discard(buffer as ArrayBuffer);
    },
    addressOf,
    isMap: (buffer) => maps.has(buffer),
  };
}
