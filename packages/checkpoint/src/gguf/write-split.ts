import { join } from 'node:path';
import type { Written } from '../types.js';
import { padded } from './gguf-header.js';
import { scalar } from './metadata-values.js';
import type { GgufMetadata } from './types.js';
import { type TensorToWrite, writeGguf } from './write-gguf.js';

/**
 * Writes `${stem}.gguf` in `folder`, or where its tensors take more than `maxBytes` parts of at most that (one tensor alone may take more), as
 * llama.cpp's gguf-split has them: all metadata in the first, the keys of a split in each.
 */
export async function writeSplit(
  folder: string,
  stem: string,
  metadata: GgufMetadata,
  tensors: readonly TensorToWrite[],
  maxBytes: number,
): Promise<Written> {
  const parts = partsOf(tensors, maxBytes);
  if (parts.length === 1) {
    const file = `${stem}.gguf`;
    return { bytes: await writeGguf(join(folder, file), metadata, tensors), files: [file] };
  }
  const files: string[] = [];
  let bytes = 0;
  for (const [index, part] of parts.entries()) {
    const file = splitFile(stem, index, parts.length);
    const keys = [
      ['split.no', scalar('u16', index)],
      ['split.count', scalar('u16', parts.length)],
      ['split.tensors.count', scalar('i32', tensors.length)],
    ] as const;
    bytes += await writeGguf(join(folder, file), new Map([...(index === 0 ? metadata : []), ...keys]), part);
    files.push(file);
  }
  return { bytes, files };
}

/** The name of a part of a split file; `index` counts from 0, names from 1. */
export function splitFile(stem: string, index: number, count: number): string {
  const number = (value: number) => String(value).padStart(5, '0');
  return `${stem}-${number(index + 1)}-of-${number(count)}.gguf`;
}

function partsOf(tensors: readonly TensorToWrite[], maxBytes: number): TensorToWrite[][] {
  const parts: TensorToWrite[][] = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    const more = padded(tensor.bytes);
    if (bytes > 0 && bytes + more > maxBytes) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)!.push(tensor);
    bytes += more;
  }
  return parts;
}
