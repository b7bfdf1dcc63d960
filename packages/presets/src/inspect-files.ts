import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type FileDigest, fileDigest, type ModelDirectory, modelCardFile } from '@fewbit/checkpoint';
import { readCardFiles } from '@fewbit/pipeline';

/** A file that the model card has a hash of. */
export interface InspectedFile extends FileDigest {
  /** `unchecked`: it has the right size, and was not read. `differs`, `missing`: it is not what the card speaks of. */
  readonly state: 'unchecked' | 'same' | 'differs' | 'missing';
}

/** The files of a model against the card that Fewbit wrote for it; undefined where there is none. With `verify` each is read whole. */
export async function inspectFiles(directory: ModelDirectory, verify: boolean): Promise<InspectedFile[] | undefined> {
  const card = await directory.text(modelCardFile);
  const expected = card === undefined ? undefined : readCardFiles(card);
  if (!expected) return undefined;
  const files: InspectedFile[] = [];
  for (const file of expected) files.push({ ...file, state: await stateOf(file, directory.path, verify) });
  return files;
}

async function stateOf({ name, bytes, sha256 }: FileDigest, folder: string, verify: boolean): Promise<InspectedFile['state']> {
  if (/[/\\]/.test(name)) return 'missing'; // a card may be anyone's
  const found = await stat(join(folder, name)).catch(() => undefined);
  if (!found?.isFile()) return 'missing';
  if (found.size !== bytes) return 'differs';
  if (!verify) return 'unchecked';
  return (await fileDigest(folder, name)).sha256 === sha256 ? 'same' : 'differs';
}
