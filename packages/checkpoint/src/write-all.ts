import type { FileHandle } from 'node:fs/promises';

/** One write call moves less than 2 GiB on every platform. */
const largestWrite = 2 ** 30;

/** Writes all of `bytes` at `position`, however few a call takes; returns the position after them. */
export async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<number> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, Math.min(bytes.length - done, largestWrite), position + done);
    done += bytesWritten;
  }
  return position + bytes.length;
}
