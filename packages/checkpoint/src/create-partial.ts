import { randomBytes } from 'node:crypto';
import { lstat, mkdir, open, rename, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { FewbitError } from '@fewbit/core';
import { outputError } from './output-error.js';
import { quote } from './quote.js';
import { writeAll } from './write-all.js';

/** An output directory in the making: a hidden one beside the target, which `place` renames. */
export interface Partial {
  /** The directory to fill. */
  readonly partial: string;
  /** Runs a piece of writing of `bytes` bytes; what goes wrong is an `output` error. */
  writing<R>(body: () => Promise<R>, bytes?: number): Promise<R>;
  /** Moves the directory to its target in one rename, which no loss of power undoes by halves. Throws `output` when that has come to exist. */
  place(): Promise<void>;
  /** Removes the directory, and the parents made for it. */
  undo(): Promise<void>;
}

/** Throws `output` when `path` exists or cannot be written. */
export async function createPartial(path: string): Promise<Partial> {
  const target = resolve(path);
  await refuseExisting(target, path);
  const { partial, undo } = await makePartial(target);
  const writing = async <R>(body: () => Promise<R>, bytes?: number): Promise<R> => {
    try {
      return await body();
    } catch (cause) {
      throw await outputError(cause, path, bytes);
    }
  };
  return {
    partial,
    writing,
    async place() {
      await refuseExisting(target, path);
      await writing(async () => {
        await syncFolder(partial);
        await rename(partial, target);
        await syncFolder(dirname(target));
      });
    },
    undo,
  };
}

/** Throws `usage` for a side file's name that leaves the directory or hides in it. */
export function requirePlainName(name: string, path: string): void {
  if (!/^[^./\\][^/\\]*$/.test(name)) throw new FewbitError('usage', `${quote(name)} is not the plain name of a file in ${path}.`);
}

/** A new file with these bytes, on the disk for good. */
export async function writeFile(path: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(path, 'wx');
  try {
    await writeAll(handle, bytes, 0);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Puts the names in a folder on the disk for good, where the system can open one (Windows cannot, and does so by itself). */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function refuseExisting(target: string, path: string): Promise<void> {
  const found = await lstat(target).catch(() => undefined);
  if (found) throw new FewbitError('output', `${path} exists already: give another directory, or move it away.`);
}

/** The directory that is filled, on the file system of the target; `undo` removes it and the parents made for it. */
async function makePartial(target: string): Promise<{ partial: string; undo: () => Promise<void> }> {
  const parent = dirname(target);
  const partial = join(parent, `.${basename(target)}.partial-${randomBytes(4).toString('hex')}`);
  let firstMade: string | undefined;
  const removeParents = async () => firstMade !== undefined && removeEmpty(parent, firstMade);
  try {
    firstMade = await mkdir(parent, { recursive: true });
    await mkdir(partial);
  } catch (cause) {
    await removeParents();
    throw await outputError(cause, target);
  }
  return {
    partial,
    async undo() {
      await rm(partial, { recursive: true, force: true });
      await removeParents();
    },
  };
}

/** Removes `folder` and its parents up to `last`, as far as they are empty: another run may have put something there meanwhile. */
async function removeEmpty(folder: string, last: string): Promise<void> {
  const removed = await rmdir(folder).then(
    () => true,
    () => false,
  );
  if (removed && folder.length > last.length) await removeEmpty(dirname(folder), last);
}
