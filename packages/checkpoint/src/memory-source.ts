import { checkRange } from './check-range.js';
import type { ByteSource } from './types.js';

/** Bytes in memory; a read is a copy. */
export function memorySource(bytes: Uint8Array, name = 'memory'): ByteSource {
  return {
    name,
    size: bytes.length,
    async read(offset, length) {
      checkRange(name, bytes.length, offset, length);
      return bytes.slice(offset, offset + length);
    },
    async close() {},
  };
}
