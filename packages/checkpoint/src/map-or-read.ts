import type { ByteSource } from './types.js';

/** A map takes whole pages and a call of the system: what is shorter is read. */
const leastMapped = 2 ** 16;

/** Bytes of a source: where they lie, or a copy. */
export async function mapOrRead(source: ByteSource, offset: number, length: number): Promise<Uint8Array> {
  const mapped = length >= leastMapped ? source.map?.(offset, length) : undefined;
  return mapped ?? source.read(offset, length);
}
