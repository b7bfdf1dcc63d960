import { statfs } from 'node:fs/promises';
import { existingFolder } from './existing-folder.js';

/** Bytes that may still be written to the disk of `path`, which need not exist; undefined where the system does not tell. */
export async function freeSpace(path: string): Promise<number | undefined> {
  try {
    const { bavail, bsize } = await statfs(await existingFolder(path));
    return bavail * bsize;
  } catch {
    return undefined;
  }
}
