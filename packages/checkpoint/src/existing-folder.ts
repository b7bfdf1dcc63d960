import { access } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/** The nearest folder of `path`, or `path` itself, that exists: a directory made at `path` will be on its disk. */
export async function existingFolder(path: string): Promise<string> {
  const folder = resolve(path);
  try {
    await access(folder);
    return folder;
  } catch {
    return dirname(folder) === folder ? folder : existingFolder(dirname(folder));
  }
}
