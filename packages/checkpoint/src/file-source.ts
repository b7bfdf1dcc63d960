import { type FileHandle, open, stat } from 'node:fs/promises';
import { FewbitError, type FileMapper } from '@fewbit/core';
import { checkRange } from './check-range.js';
import type { ByteSource } from './types.js';

/** One read call moves less than 2 GiB on every platform. */
const largestRead = 2 ** 30;

/** A file on disk, read by position (calls may overlap), or shown by `mapper`. Throws `checkpoint` when it cannot be opened or is no regular file. */
export async function fileSource(path: string, mapper?: FileMapper): Promise<ByteSource> {
  const { handle, size } = await openFile(path);
  return {
    name: path,
    size,
    async read(offset, length) {
      checkRange(path, size, offset, length);
      try {
        const bytes = new Uint8Array(length);
        await fill(handle, bytes, offset);
        return bytes;
      } catch (cause) {
        const from = `${length} bytes from byte ${offset}`;
        throw new FewbitError('checkpoint', `${path}: ${from} cannot be read: ${(cause as Error).message}.`, { cause });
      }
    },
    ...(mapper && {
      map(offset: number, length: number) {
        checkRange(path, size, offset, length);
        return mapper.map(handle.fd, offset, length);
      },
    }),
    close: () => handle.close(),
  };
}

async function openFile(path: string): Promise<{ handle: FileHandle; size: number }> {
  try {
    // asked before opening: to open a pipe would wait for its writer
    const found = await stat(path);
    if (!found.isFile()) throw new Error('it is no regular file');
    return { handle: await open(path, 'r'), size: found.size };
  } catch (cause) {
    throw new FewbitError('checkpoint', `${path} cannot be opened: ${(cause as Error).message}.`, { cause });
  }
}

async function fill(handle: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await handle.read(bytes, done, Math.min(bytes.length - done, largestRead), offset + done);
    if (bytesRead === 0) throw new Error(`the file ends at byte ${offset + done}: it was cut while it was open`);
    done += bytesRead;
  }
}
