import { FewbitError } from '@fewbit/core';
import { isCompanion } from './companions.js';
import { openShards } from './open-shards.js';
import { decodeUtf8, parseJsonObject } from './parse-json.js';
import { readSideFile } from './side-file.js';
import type { ByteSource, ModelDirectory } from './types.js';

/** A model's files, wherever they are. */
export interface Folder {
  /** What messages call it. */
  readonly path: string;
  /** Sorted. */
  readonly names: readonly string[];
  open(name: string): Promise<ByteSource>;
}

/** A folder with config.json and safetensors as a model directory. Throws `config` and `checkpoint` as `openModelDirectory`. */
export async function openFolder(folder: Folder): Promise<ModelDirectory> {
  const { path, names } = folder;
  if (!names.includes('config.json')) {
    throw new FewbitError('config', `${path} has no config.json: give the directory of a Hugging Face model, or a .gguf file.`);
  }
  const read = async (name: string) => readSideFile(await folder.open(name));
  const config = parseJsonObject(await read('config.json'), `${path}/config.json`, 'config');
  const checkpoint = await openShards(folder);
  return {
    path,
    config,
    checkpoint,
    text: async (name) => (names.includes(name) ? decodeUtf8(await read(name), `${path}/${name}`, 'config') : undefined),
    companions: names.filter(isCompanion),
    bytes: read,
    close: () => checkpoint.close(),
  };
}
