import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { FewbitError } from '@fewbit/core';
import { createPartial, requirePlainName, writeFile } from './create-partial.js';
import { indexFile, singleFile } from './open-shards.js';
import { quote } from './quote.js';
import { createShard, type ShardWriter } from './shard-writer.js';
import type { CheckpointWriter } from './types.js';

export interface ModelDirectoryOptions {
  /** A shard is closed before it would grow larger; one tensor alone may be. Default 5e9, as transformers has it. */
  readonly maxShardBytes?: number;
}

/**
 * A model directory in the making: everything goes to a hidden directory beside `path`, which `commit` renames.
 * Tensors are on disk as soon as they are written. Throws `output` when `path` exists or cannot be written,
 * `usage` for a name given twice or one that cannot be taken.
 */
export async function createModelDirectory(path: string, options: ModelDirectoryOptions = {}): Promise<CheckpointWriter> {
  const { maxShardBytes = 5e9 } = options;
  if (!(maxShardBytes > 0)) throw new FewbitError('usage', `maxShardBytes must be a number above 0, got ${maxShardBytes}.`);
  const output = await createPartial(path);
  const { partial } = output;
  const shards: ShardWriter[] = [];
  const tensors = new Set<string>();
  const sideFiles = new Set<string>();
  let current: ShardWriter | undefined;
  let done = false;

  const refuseDone = () => {
    if (done) throw new FewbitError('usage', `${path} is committed or given up: nothing more can be written to it.`);
  };
  const claim = (name: string, taken: Set<string>) => {
    refuseDone();
    if (taken.has(name)) throw new FewbitError('usage', `${quote(name)} is written to ${path} twice.`);
    taken.add(name);
  };
  const shardFor = async (bytes: number): Promise<ShardWriter> => {
    if (current && current.bytes > 0 && current.bytes + bytes > maxShardBytes) {
      await current.finish();
      current = undefined;
    }
    if (!current) {
      current = await createShard(join(partial, `shard-${shards.length + 1}`));
      shards.push(current);
    }
    return current;
  };

  const { writing } = output;
  const file: CheckpointWriter['file'] = async (name, content) => {
    requirePlainName(name, path);
    if (/\.safetensors|^shard-/.test(name)) throw new FewbitError('usage', `${quote(name)} in ${path} is kept for weights.`);
    claim(name, sideFiles);
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    await writing(() => writeFile(join(partial, name), bytes), bytes.length);
  };

  return {
    async write(name, tensor) {
      claim(name, tensors);
      const { length } = tensor.data;
      await writing(async () => (await shardFor(length)).write(name, tensor), length);
    },
    file,
    async commit(check) {
      refuseDone();
      const files = await writing(async () => {
        await current?.finish();
        return placeShards(partial, shards);
      });
      const report = { bytes: shards.reduce((sum, { bytes }) => sum + bytes, 0), files };
      const last = await check?.(partial, report);
      for (const [name, content] of Object.entries(last ?? {})) await file(name, content);
      await output.place();
      done = true;
      return report;
    },
    async abort() {
      if (done) return;
      done = true;
      await current?.close();
      await output.undo();
    },
  };
}

/** Gives the shards their names, and writes the index when there are several. */
async function placeShards(partial: string, shards: readonly ShardWriter[]): Promise<string[]> {
  if (shards.length <= 1) {
    for (const { path } of shards) await rename(path, join(partial, singleFile));
    return shards.map(() => singleFile);
  }
  const weightMap: Record<string, string> = {};
  const files: string[] = [];
  for (const [i, { path, names }] of shards.entries()) {
    const number = (value: number) => String(value).padStart(5, '0');
    const file = `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    await rename(path, join(partial, file));
    files.push(file);
    for (const name of names) weightMap[name] = file;
  }
  const sorted = Object.fromEntries(Object.entries(weightMap).sort(([a], [b]) => (a < b ? -1 : 1)));
  const metadata = { total_size: shards.reduce((sum, { bytes }) => sum + bytes, 0) };
  await writeFile(join(partial, indexFile), new TextEncoder().encode(`${JSON.stringify({ metadata, weight_map: sorted }, null, 2)}\n`));
  return [...files, indexFile];
}
