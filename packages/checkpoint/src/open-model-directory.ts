import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { FewbitError, type FileMapper } from '@fewbit/core';
import { isLicence, modelCardFile } from './companions.js';
import { fileSource } from './file-source.js';
import { openFolder } from './folder.js';
import { openGgufModel } from './gguf/open-gguf-model.js';
import { decodeUtf8 } from './parse-json.js';
import { list } from './quote.js';
import { readSideFile } from './side-file.js';
import type { ModelDirectory } from './types.js';

export interface ModelDirectoryReading {
  /** Shows large tensors where they lie in their files. Default: they are read into memory. */
  readonly mapper?: FileMapper;
}

/**
 * Opens a Hugging Face model directory, or a .gguf file (or a directory with one, and no config.json): config.json and every shard's header are read and checked now, tensors when asked for.
 * Throws `config` for a missing or damaged config.json, `checkpoint` for missing, damaged or contradicting weight files.
 */
export async function openModelDirectory(path: string, { mapper }: ModelDirectoryReading = {}): Promise<ModelDirectory> {
  const model = await openFiles(path, mapper);
  return mapper ? { ...model, checkpoint: { ...model.checkpoint, release: ({ data }) => mapper.release(data) } } : model;
}

async function openFiles(path: string, mapper: FileMapper | undefined): Promise<ModelDirectory> {
  if (path.endsWith('.gguf')) return openGgufModel(path, mapper);
  const names = await fileNames(path);
  const gguf = names.includes('config.json') ? undefined : onlyGguf(names, path);
  if (gguf) return withNeighbours(await openGgufModel(join(path, gguf), mapper), path, names);
  return openFolder({ path, names, open: (name) => fileSource(join(path, name), mapper) });
}

/** A GGUF file has no place for a model card and a licence: they stand beside it. */
function withNeighbours(model: ModelDirectory, path: string, names: readonly string[]): ModelDirectory {
  const licences = names.filter(isLicence);
  const read = async (name: string) => readSideFile(await fileSource(join(path, name)));
  return {
    ...model,
    path,
    companions: [...model.companions, ...licences],
    bytes: (name) => (licences.includes(name) ? read(name) : model.bytes(name)),
    async text(name) {
      const neighbour = licences.includes(name) || (name === modelCardFile && names.includes(name));
      return neighbour ? decodeUtf8(await read(name), join(path, name), 'config') : model.text(name);
    },
  };
}

/** The one .gguf file, or the first of a split one. */
function onlyGguf(names: readonly string[], path: string): string | undefined {
  const files = names.filter((name) => name.endsWith('.gguf'));
  const found = files.filter((name) => !/-(?!00001)\d{5}-of-\d{5}\.gguf$/.test(name));
  if (found.length === 0 && files.length > 0) {
    throw new FewbitError(
      'checkpoint',
      `${path} holds later parts of a split model (${list(files)}) without the first: its download did not finish.`,
    );
  }
  if (found.length <= 1) return found[0];
  throw new FewbitError('usage', `${path} holds ${found.length} .gguf files (${list(found)}): name one of them.`);
}

/** Files of a directory, links to files among them (the hub's cache is made of those), sorted. */
async function fileNames(path: string): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries
      .filter((entry) => !entry.isDirectory())
      .map(({ name }) => name)
      .sort();
  } catch (cause) {
    throw new FewbitError('checkpoint', `${path} is not a model directory that can be read: ${(cause as Error).message}.`, { cause });
  }
}
