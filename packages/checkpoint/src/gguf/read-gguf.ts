import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FewbitError, type FileMapper } from '@fewbit/core';
import { fileSource } from '../file-source.js';
import { mapOrRead } from '../map-or-read.js';
import { noSuchTensor } from '../no-such-tensor.js';
import { list, quote } from '../quote.js';
import type { ByteSource } from '../types.js';
import { ggufError, ggufLimits, parseGguf } from './parse-gguf.js';
import type { GgufHeader, GgufMetadata, GgufTensor } from './types.js';
import { splitFile } from './write-split.js';

/** A GGUF file, or all files of a split one: its header is checked, tensors are read when asked for. */
export interface GgufFile {
  readonly name: string;
  readonly metadata: GgufMetadata;
  /** By name, in the order of the file. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** The stored bytes, to be read only. Throws `checkpoint` when there is no such tensor. */
  read(name: string): Promise<Uint8Array>;
  close(): Promise<void>;
}

/**
 * Opens a .gguf file, and its sisters where it is the first of a split. Throws `checkpoint` for files that break any rule of the format, and for
 * parts that are missing or of another model. `mapper` shows large tensors where they lie.
 */
export async function openGguf(path: string, mapper?: FileMapper): Promise<GgufFile> {
  const first = await readGguf(await fileSource(path, mapper));
  const count = first.metadata.get('split.count')?.value ?? 1;
  if (count === 1) return first;
  const others: GgufFile[] = [];
  try {
    const parts = sisters(path, count);
    await refuseMissing(parts);
    for (const part of parts) others.push(await readGguf(await fileSource(part, mapper)));
    return joined([first, ...others]);
  } catch (error) {
    for (const file of [first, ...others]) await file.close();
    throw error;
  }
}

/** One file alone. Takes the source over, and closes it when it throws. */
export async function readGguf(source: ByteSource): Promise<GgufFile> {
  try {
    const header = await readHeader(source);
    const tensors = new Map(header.tensors.map((tensor) => [tensor.name, tensor]));
    return {
      name: source.name,
      metadata: header.metadata,
      tensors,
      async read(name) {
        const tensor = tensors.get(name);
        if (!tensor) throw noSuchTensor(name, tensors.keys(), source.name);
        return mapOrRead(source, header.dataStart + tensor.offset, tensor.bytes);
      },
      close: () => source.close(),
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** The header's length is known only at its end: it is parsed from the first bytes of the file, four times as many each time. */
async function readHeader(source: ByteSource): Promise<GgufHeader> {
  for (let length = 2 ** 16; ; length *= 4) {
    const bytes = await source.read(0, Math.min(length, source.size));
    const header = parseGguf(bytes, source.size, source.name);
    if (header) return header;
    if (length >= ggufLimits.headerBytes)
      throw ggufError(source.name, `its header is longer than the ${ggufLimits.headerBytes} bytes that are read`);
  }
}

const splitName = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/;

/** Paths of the files after the first. */
function sisters(path: string, count: unknown): string[] {
  const match = splitName.exec(basename(path));
  if (!match || Number(match[3]) !== count)
    throw ggufError(path, `it is a part of ${quote(count)} (split.count), but its name does not say so`);
  if (match[2] !== '00001') throw ggufError(path, 'it is a later part of a split model: give the first one (…-00001-of-…)');
  return Array.from({ length: Number(count) - 1 }, (_, i) => join(dirname(path), splitFile(match[1]!, i + 1, Number(count))));
}

/** Before any is opened, so that one message names all that a broken download lacks. */
async function refuseMissing(parts: readonly string[]): Promise<void> {
  const found = await Promise.all(parts.map((part) => stat(part).then(Boolean, () => false)));
  const missing = parts.filter((_, i) => !found[i]).map((part) => basename(part));
  if (missing.length === 0) return;
  throw new FewbitError(
    'checkpoint',
    `${dirname(parts[0]!)} lacks ${missing.length} of ${parts.length + 1} parts of a split model (${list(missing)}): its download did not finish.`,
  );
}

function joined(files: readonly [GgufFile, ...GgufFile[]]): GgufFile {
  const owners = new Map<string, GgufFile>();
  const tensors = new Map<string, GgufTensor>();
  for (const [index, file] of files.entries()) {
    for (const [key, expected] of [
      ['split.no', index],
      ['split.count', files.length],
    ] as const) {
      const found = file.metadata.get(key)?.value;
      if (found !== expected)
        throw ggufError(file.name, `${key} is ${quote(found)}, expected ${expected}: it is part of another model, or damaged`);
    }
    for (const [name, tensor] of file.tensors) {
      if (owners.has(name)) throw ggufError(file.name, `tensor ${quote(name)} is in ${owners.get(name)!.name} too`);
      owners.set(name, file);
      tensors.set(name, tensor);
    }
  }
  const [first] = files;
  const total = first.metadata.get('split.tensors.count')?.value;
  if (total !== undefined && total !== tensors.size)
    throw ggufError(first.name, `split.tensors.count is ${quote(total)}, the parts hold ${tensors.size}`);
  return {
    name: first.name,
    metadata: first.metadata,
    tensors,
    async read(name) {
      const owner = owners.get(name);
      if (!owner) throw noSuchTensor(name, owners.keys(), first.name);
      return owner.read(name);
    },
    async close() {
      for (const file of files) await file.close();
    },
  };
}
