/**
 * llama.cpp's importance matrices: for each weight the mean square of each of its inputs. Two forms: `.dat` (a plain list) and GGUF.
 * Source: `tools/imatrix/imatrix.cpp` and `common/imatrix-loader.cpp` of llama.cpp.
 */
import { writeFile } from 'node:fs/promises';
import { FewbitError, toFloat32 } from '@fewbit/core';
import { fileSource } from '../file-source.js';
import { quote } from '../quote.js';
import type { ByteSource } from '../types.js';
import { ByteCursor, Short } from './byte-cursor.js';
import { list, scalar } from './metadata-values.js';
import { readGguf } from './read-gguf.js';
import type { GgufValue } from './types.js';
import { writeGguf } from './write-gguf.js';

export interface Imatrix {
  /** By GGUF's name of the weight (`blk.0.attn_q.weight`): the mean square of each input. */
  readonly entries: ReadonlyMap<string, Float32Array>;
  /** What it was measured on, and over how many chunks of how many tokens, where the file says. */
  readonly datasets: readonly string[];
  readonly chunks?: number;
  readonly chunkSize?: number;
}

/** Bounds on an untrusted `.dat`: far above any model. */
const limits = { entries: 100_000, nameBytes: 1024, values: 2 ** 24, fileBytes: 2 ** 31 } as const;

/** Reads either form. Throws `checkpoint` for damaged files, `unsupported` for those of mixtures of experts. */
export async function readImatrix(path: string): Promise<Imatrix> {
  const source = await fileSource(path);
  const magic = source.size >= 4 ? String.fromCharCode(...(await source.read(0, 4))) : '';
  return magic === 'GGUF' ? readGgufForm(source) : readPlainForm(source);
}

async function readGgufForm(source: ByteSource): Promise<Imatrix> {
  const file = await readGguf(source);
  try {
    const entries = new Map<string, Float32Array>();
    for (const name of file.tensors.keys()) {
      if (!name.endsWith('.in_sum2')) continue;
      const weight = name.slice(0, -'.in_sum2'.length);
      const [sums, counts] = [await floats(name), await floats(`${weight}.counts`)];
      if (counts.length !== 1)
        throw new FewbitError('unsupported', `${source.name}: ${weight} has ${counts.length} experts; models without are read.`);
      const count = counts[0]!;
      // llama.cpp takes 1 where nothing was seen
      entries.set(weight, checked(weight, count > 0 ? sums.map((sum) => sum / count) : sums.map(() => 1), source.name));
    }
    const number = (key: string) => file.metadata.get(key)?.value as number | undefined;
    const [chunks, chunkSize] = [number('imatrix.chunk_count'), number('imatrix.chunk_size')];
    return {
      entries,
      datasets: (file.metadata.get('imatrix.datasets')?.value as string[] | undefined) ?? [],
      ...(chunks !== undefined && { chunks }),
      ...(chunkSize !== undefined && { chunkSize }),
    };
  } finally {
    await file.close();
  }

  async function floats(name: string): Promise<Float32Array> {
    const tensor = file.tensors.get(name);
    if (tensor?.type !== 'F32')
      throw new FewbitError('checkpoint', `${source.name}: tensor ${quote(name)} ${tensor ? `is ${tensor.type}, not F32` : 'is missing'}.`);
    return toFloat32({ dtype: 'F32', shape: tensor.shape, data: await file.read(name) });
  }
}

async function readPlainForm(source: ByteSource): Promise<Imatrix> {
  try {
    if (source.size > limits.fileBytes)
      throw new FewbitError('checkpoint', `${source.name} has ${source.size} bytes; an imatrix file has at most ${limits.fileBytes}.`);
    const cursor = new ByteCursor(await source.read(0, source.size), source.size, source.name);
    const count = bounded(cursor, 'the number of entries', limits.entries);
    const entries = new Map<string, Float32Array>();
    for (let i = 0; i < count; i++) {
      const name = text(cursor, `the name of entry ${i}`);
      const calls = cursor.scalar('i32', `ncall of ${name}`) as number;
      const size = bounded(cursor, `nval of ${name}`, limits.values);
      const bytes = cursor.bytes(4 * size, `the values of ${name}`);
      const values = toFloat32({ dtype: 'F32', shape: [size], data: bytes.slice() });
      if (entries.has(name)) throw new FewbitError('checkpoint', `${source.name}: ${quote(name)} is given twice.`);
      entries.set(name, checked(name, calls > 0 ? values.map((value) => value / calls) : values, source.name));
    }
    if (cursor.at === source.size) return { entries, datasets: [] };
    const chunks = cursor.scalar('i32', 'the number of chunks') as number;
    return { entries, chunks, datasets: cursor.at === source.size ? [] : [text(cursor, 'the name of the dataset')] };
  } catch (error) {
    if (error instanceof Short)
      throw new FewbitError('checkpoint', `${source.name}: it ends inside ${error.what}: it is truncated, or no imatrix file.`);
    throw error;
  } finally {
    await source.close();
  }
}

function bounded(cursor: ByteCursor, what: string, most: number): number {
  const value = cursor.scalar('i32', what) as number;
  if (value < 0 || value > most) throw cursor.error(`${what} is ${value}; 0 … ${most} is allowed: it is damaged, or no imatrix file`);
  return value;
}

function text(cursor: ByteCursor, what: string): string {
  return new TextDecoder().decode(cursor.bytes(bounded(cursor, `the length of ${what}`, limits.nameBytes), what));
}

function checked(name: string, values: Float32Array, file: string): Float32Array {
  const bad = values.findIndex((value) => !(value >= 0 && Number.isFinite(value)));
  if (bad >= 0)
    throw new FewbitError(
      'checkpoint',
      `${file}: ${quote(name)} holds ${values[bad]} at ${bad}; a mean square is a finite number of at least 0.`,
    );
  return values;
}

/** Writes the GGUF form, or the plain one where `path` ends in `.dat`. `path` must not exist. */
export async function writeImatrix(path: string, { entries, datasets, chunks = 1, chunkSize = 512 }: Imatrix): Promise<void> {
  if (path.endsWith('.dat')) return writeFile(path, plainForm(entries, datasets[0] ?? '', chunks), { flag: 'wx' });
  const metadata = new Map<string, GgufValue>([
    ['general.type', scalar('string', 'imatrix')],
    ['imatrix.datasets', list('string', datasets.length > 0 ? datasets : [''])],
    ['imatrix.chunk_count', scalar('u32', chunks)],
    ['imatrix.chunk_size', scalar('u32', chunkSize)],
  ]);
  const rows = chunks * chunkSize;
  const tensor = (name: string, shape: number[], values: Float32Array) => ({
    name,
    type: 'F32',
    shape,
    bytes: values.byteLength,
    content: async () => new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  });
  await writeGguf(
    path,
    metadata,
    [...entries].flatMap(([name, values]) => [
      tensor(
        `${name}.in_sum2`,
        [1, values.length],
        values.map((value) => value * rows),
      ),
      tensor(`${name}.counts`, [1, 1], Float32Array.of(rows)),
    ]),
  );
}

function plainForm(entries: ReadonlyMap<string, Float32Array>, dataset: string, chunks: number): Uint8Array {
  const parts: Uint8Array[] = [];
  const integer = (value: number) => parts.push(new Uint8Array(Int32Array.of(value).buffer));
  const string = (value: string) => {
    const bytes = new TextEncoder().encode(value);
    integer(bytes.length);
    parts.push(bytes);
  };
  integer(entries.size);
  for (const [name, values] of entries) {
    string(name);
    integer(chunks);
    integer(values.length);
    parts.push(new Uint8Array(values.map((value) => value * chunks).buffer));
  }
  integer(chunks);
  string(dataset);
  return Buffer.concat(parts);
}
