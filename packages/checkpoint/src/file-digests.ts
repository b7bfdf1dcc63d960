import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FewbitError } from '@fewbit/core';

export interface FileDigest {
  readonly name: string;
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** Every file of a directory, by name, with its hash. `goOn` is called between pieces, and stops by throwing. Throws `checkpoint` for what cannot be read. */
export async function fileDigests(folder: string, goOn?: () => void): Promise<FileDigest[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause) => {
    throw unreadable(folder, cause);
  });
  const names = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  const digests: FileDigest[] = [];
  for (const name of names.sort()) digests.push(await fileDigest(folder, name, goOn));
  return digests;
}

/** A file with its hash; it is read whole, a piece at a time. Throws what `fileDigests` throws. */
export async function fileDigest(folder: string, name: string, goOn?: () => void): Promise<FileDigest> {
  const path = join(folder, name);
  try {
    const hash = createHash('sha256');
    for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) {
      goOn?.();
      hash.update(piece as Uint8Array);
    }
    return { name, bytes: (await stat(path)).size, sha256: hash.digest('hex') };
  } catch (cause) {
    throw FewbitError.is(cause) ? cause : unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): FewbitError {
  return new FewbitError('checkpoint', `${path} cannot be read: ${(cause as Error).message}.`, { cause });
}
