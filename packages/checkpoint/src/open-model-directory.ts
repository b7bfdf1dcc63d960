import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { FewbitError } from '@fewbit/core';
import { isCompanion } from './companions.js';
import { openShards } from './open-shards.js';
import { decodeUtf8, parseJsonObject } from './parse-json.js';
import { readSideFile } from './side-file.js';
import type { ModelDirectory } from './types.js';

/**
 * Opens a Hugging Face model directory: config.json and every shard's header are read and checked now, tensors when asked for.
 * Throws `config` for a missing or damaged config.json, `checkpoint` for missing, damaged or contradicting weight files.
 */
export async function openModelDirectory(path: string): Promise<ModelDirectory> {
  const names = await fileNames(path);
  if (!names.includes('config.json')) {
    throw new FewbitError('config', `${path} has no config.json: give the directory of a Hugging Face model.`);
  }
  const configPath = join(path, 'config.json');
  const config = parseJsonObject(await readSideFile(configPath), configPath, 'config');
  const checkpoint = await openShards(path, names);
  return {
    path,
    config,
    checkpoint,
    async text(name) {
      if (!names.includes(name)) return undefined;
      const file = join(path, name);
      return decodeUtf8(await readSideFile(file), file, 'config');
    },
    companions: names.filter(isCompanion),
    close: () => checkpoint.close(),
  };
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
