import { FewbitError, type TensorName } from '@fewbit/core';
import type { Folder } from './folder.js';
import { noSuchTensor } from './no-such-tensor.js';
import { isObject, parseStrictJsonObject } from './parse-json.js';
import { list, quote } from './quote.js';
import { readSafetensors } from './read-safetensors.js';
import { readSideFile } from './side-file.js';
import type { CheckpointReader, TensorInfo } from './types.js';

export const singleFile = 'model.safetensors';
export const indexFile = 'model.safetensors.index.json';

/** The weights of a directory with these files: model.safetensors, or the shards that the index names. */
export async function openShards(folder: Folder): Promise<CheckpointReader> {
  const { path, names } = folder;
  if (names.includes(singleFile)) return readSafetensors(await folder.open(singleFile));
  if (names.includes(indexFile)) return openIndexed(folder);
  const others = names.filter((name) => /\.(safetensors|bin|pth?|gguf|ckpt)$/.test(name));
  const found = others.length > 0 ? `it has ${list(others)}` : 'it has no weights at all';
  throw new FewbitError('checkpoint', `${path} has neither ${singleFile} nor ${indexFile}: ${found}. Save the model as safetensors.`);
}

async function openIndexed({ path: directory, names, open }: Folder): Promise<CheckpointReader> {
  const path = `${directory}/${indexFile}`;
  const weightMap = parseIndex(parseStrictJsonObject(await readSideFile(await open(indexFile)), path, 'checkpoint'), path);
  const shards = new Map<string, CheckpointReader>();
  const close = async () => {
    for (const shard of shards.values()) await shard.close();
  };
  try {
    const files = [...new Set(weightMap.values())].sort();
    const missing = files.filter((file) => !names.includes(file));
    if (missing.length > 0) {
      throw new FewbitError(
        'checkpoint',
        `${directory} lacks ${missing.length} of ${files.length} shards (${list(missing)}): its download did not finish.`,
      );
    }
    for (const file of files) shards.set(file, await readSafetensors(await open(file)));
    const tensors = new Map<TensorName, TensorInfo>();
    for (const [name, file] of weightMap) {
      const info = shards.get(file)!.tensors.get(name);
      if (!info)
        throw new FewbitError(
          'checkpoint',
          `${path} places ${quote(name)} in ${file}, which does not have it: the files do not belong together.`,
        );
      tensors.set(name, info);
    }
    return {
      tensors,
      async read(name) {
        const file = weightMap.get(name);
        if (file === undefined) throw noSuchTensor(name, weightMap.keys(), path);
        return shards.get(file)!.read(name);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Tensor → file name. A shard outside of the directory is refused: an index may come from anybody. */
function parseIndex({ weight_map: map }: Record<string, unknown>, path: string): Map<TensorName, string> {
  if (!isObject(map)) throw new FewbitError('checkpoint', `${path}: weight_map must be an object, got ${quote(map)}.`);
  const entries = Object.entries(map);
  if (entries.length === 0) throw new FewbitError('checkpoint', `${path}: weight_map names no tensor.`);
  for (const [name, file] of entries) {
    if (typeof file === 'string' && /^[^/\\]+\.safetensors$/.test(file)) continue;
    throw new FewbitError(
      'checkpoint',
      `${path}: ${quote(name)} is said to be in ${quote(file)}; a shard is a .safetensors file beside the index.`,
    );
  }
  return new Map(entries as [string, string][]);
}
