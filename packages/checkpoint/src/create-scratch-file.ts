import { randomBytes } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { FewbitError } from '@fewbit/core';
import { existingFolder } from './existing-folder.js';
import { outputError } from './output-error.js';
import { writeAll } from './write-all.js';

/** What does not fit in memory, by position. */
export interface ScratchFile {
  /** Throws `output` when the disk is full. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** Fills `into` with what was written there. */
  read(into: Uint8Array, position: number): Promise<void>;
  /** Nothing of the file is left then. */
  close(): Promise<void>;
}

/**
 * A hidden file beside `path`, in the nearest folder of it that exists. It loses its name as soon as it is open, where the system allows that: nothing is left
 * of it even when the process is killed. Throws `output` where it cannot be made.
 */
export async function createScratchFile(path: string): Promise<ScratchFile> {
  const file = join(await existingFolder(dirname(resolve(path))), `.${basename(path)}.scratch-${randomBytes(4).toString('hex')}`);
  const writing = async <R>(body: () => Promise<R>, bytes?: number): Promise<R> => {
    try {
      return await body();
    } catch (cause) {
      throw await outputError(cause, file, bytes);
    }
  };
  const handle = await writing(() => open(file, 'wx+', 0o600));
  const remove = () => rm(file, { force: true });
  await remove().catch(() => undefined); // else once it is closed
  return {
    async write(bytes, position) {
      await writing(() => writeAll(handle, bytes, position), bytes.length);
    },
    async read(into, position) {
      for (let done = 0; done < into.length; ) {
        const { bytesRead } = await handle.read(into, done, into.length - done, position + done);
        if (bytesRead === 0)
          throw new FewbitError('output', `${file} ends before byte ${position + into.length}: it was cut while it was in use.`);
        done += bytesRead;
      }
    },
    async close() {
      await handle.close();
      await remove();
    },
  };
}
