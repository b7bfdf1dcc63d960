import { open } from 'node:fs/promises';
import { writeAll } from '../write-all.js';
import { type DeclaredTensor, ggufHeader, padded } from './gguf-header.js';
import type { GgufMetadata } from './types.js';

/** A tensor whose bytes are fetched when their turn comes. */
export interface TensorToWrite extends DeclaredTensor {
  /** Exactly `bytes` bytes. */
  content(): Promise<Uint8Array>;
}

/** Writes a whole GGUF file, which must not exist; one tensor is in memory at a time. Returns its size. */
export async function writeGguf(path: string, metadata: GgufMetadata, tensors: readonly TensorToWrite[]): Promise<number> {
  const file = await open(path, 'wx');
  try {
    let at = await writeAll(file, ggufHeader(metadata, tensors), 0);
    for (const tensor of tensors) {
      at = await writeAll(file, await tensor.content(), at);
      at = await writeAll(file, new Uint8Array(padded(tensor.bytes) - tensor.bytes), at);
    }
    await file.sync();
    return at;
  } finally {
    await file.close();
  }
}
