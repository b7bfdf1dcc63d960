import { FewbitError } from '@fewbit/core';
import { quote } from '../quote.js';
import { ByteCursor, Short } from './byte-cursor.js';
import { type GgufHeader, type GgufTensor, type GgufValue, type Scalar, type ScalarType, tensorTypes, valueTypes } from './types.js';

/** Bounds on what an untrusted file may ask for; each is far above any real model. */
export const ggufLimits = {
  /** Keys: models have some 50. */
  keys: 65_536,
  /** Tensors: the largest mixtures of experts have some thousands. */
  tensors: 1_000_000,
  /** Bytes of a key; llama.cpp has the same limit. */
  keyBytes: 65_535,
  /** Bytes of a string value: chat templates have some 10 kB. */
  stringBytes: 2 ** 24,
  /** Elements of an array: vocabularies have some 262,144 tokens and twice as many merges. */
  elements: 2 ** 23,
  /** Bytes of all before the data: the largest vocabularies take some 20 MB. */
  headerBytes: 2 ** 28,
  /** ggml's own limits. */
  dimensions: 4,
  nameBytes: 63,
  alignment: 2 ** 20,
} as const;

/**
 * Parses the header of a GGUF file of `size` bytes from its first bytes; undefined where those end before the header does.
 * Throws `checkpoint`, naming key, tensor and field, for anything that llama.cpp refuses too, and for counts and lengths beyond `ggufLimits`.
 */
export function parseGguf(bytes: Uint8Array, size: number, file: string): GgufHeader | undefined {
  const cursor = new ByteCursor(bytes, size, file);
  try {
    const counts = readPreamble(cursor);
    const metadata = readMetadata(cursor, counts.keys);
    const alignment = readAlignment(metadata, cursor);
    const tensors = readTensors(cursor, counts.tensors);
    const dataStart = Math.ceil(cursor.at / alignment) * alignment;
    return { metadata, alignment, dataStart, tensors: placed(tensors, alignment, dataStart, size, cursor) };
  } catch (error) {
    if (error instanceof Short && bytes.length < size) return undefined;
    if (error instanceof Short) throw cursor.error(`the file ends at byte ${size}, inside ${error.what}: it is truncated`);
    throw error;
  }
}

function readPreamble(cursor: ByteCursor): { tensors: number; keys: number } {
  const magic = cursor.bytes(4, 'its magic');
  if (String.fromCharCode(...magic) !== 'GGUF') throw cursor.error('it does not begin with GGUF: it is another kind of file');
  const version = cursor.scalar('u32', 'its version') as number;
  if ((version & 0xffff) === 0) throw cursor.error('it is a big-endian GGUF file, which is not read: convert it to little-endian');
  if (version !== 2 && version !== 3) throw cursor.error(`it is GGUF version ${version}; versions 2 and 3 are read`);
  // a tensor's entry has at least 24 bytes, a key's 13
  const tensors = cursor.count('the number of tensors', ggufLimits.tensors, 24);
  const keys = cursor.count('the number of keys', ggufLimits.keys, 13);
  return { tensors, keys };
}

function readMetadata(cursor: ByteCursor, count: number): Map<string, GgufValue> {
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < count; i++) {
    const key = cursor.string(`key ${i}`, ggufLimits.keyBytes);
    if (key === '') throw cursor.error(`key ${i} is empty`);
    if (metadata.has(key)) throw cursor.error(`key ${quote(key)} is given twice`);
    metadata.set(key, readValue(cursor, `key ${quote(key)}`));
  }
  return metadata;
}

function readValue(cursor: ByteCursor, what: string): GgufValue {
  const type = readType(cursor, `the type of ${what}`);
  if (type !== 'array') return { type, value: readScalar(cursor, type, what) };
  const of = readType(cursor, `the element type of ${what}`);
  if (of === 'array') throw cursor.error(`${what} is an array of arrays, which llama.cpp does not read either`);
  const count = cursor.count(`the length of ${what}`, ggufLimits.elements, smallest[of]);
  const value: Scalar[] = [];
  for (let i = 0; i < count; i++) value.push(readScalar(cursor, of, what));
  return { type, of, value };
}

function readType(cursor: ByteCursor, what: string): (typeof valueTypes)[number] {
  const id = cursor.scalar('u32', what) as number;
  const type = valueTypes[id];
  if (!type) throw cursor.error(`${what} is ${id}; value types are 0 … ${valueTypes.length - 1}`);
  return type;
}

function readScalar(cursor: ByteCursor, type: ScalarType, what: string): Scalar {
  return type === 'string' ? cursor.string(what, ggufLimits.stringBytes) : cursor.scalar(type, what);
}

/** Bytes that an element takes at least. */
const smallest: Readonly<Record<ScalarType, number>> = {
  u8: 1,
  i8: 1,
  bool: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  u64: 8,
  i64: 8,
  f64: 8,
  string: 8,
};

function readAlignment(metadata: ReadonlyMap<string, GgufValue>, cursor: ByteCursor): number {
  const given = metadata.get('general.alignment');
  if (!given) return 32;
  const { type, value } = given;
  if (type === 'u32' && typeof value === 'number' && value > 0 && (value & (value - 1)) === 0 && value <= ggufLimits.alignment)
    return value;
  throw cursor.error(`general.alignment is ${quote(value)} (${type}); it must be a u32 power of two of at most ${ggufLimits.alignment}`);
}

type Declared = Omit<GgufTensor, 'bytes'> & { readonly bytes: number };

function readTensors(cursor: ByteCursor, count: number): Declared[] {
  const names = new Set<string>();
  const tensors: Declared[] = [];
  for (let i = 0; i < count; i++) {
    const name = cursor.string(`the name of tensor ${i}`, ggufLimits.nameBytes);
    if (names.has(name)) throw cursor.error(`tensor ${quote(name)} is listed twice`);
    names.add(name);
    tensors.push(readTensor(cursor, name));
  }
  return tensors;
}

function readTensor(cursor: ByteCursor, name: string): Declared {
  const tensor = `tensor ${quote(name)}`;
  const dimensions = cursor.scalar('u32', `the number of dimensions of ${tensor}`) as number;
  if (dimensions > ggufLimits.dimensions)
    throw cursor.error(`${tensor} has ${dimensions} dimensions; at most ${ggufLimits.dimensions} are allowed`);
  const ne = Array.from({ length: dimensions }, (_, d) => cursor.scalar('u64', `dimension ${d} of ${tensor}`));
  const id = cursor.scalar('u32', `the type of ${tensor}`) as number;
  const type = typeById.get(id);
  if (type === undefined) throw cursor.error(`${tensor} has type ${id}, which is no type of ggml, or one that was removed`);
  const { block, bytes } = tensorTypes[type]!;
  const elements = ne.reduce<number>((product, size) => product * Number(size), 1);
  // Number() of a larger one would not be exact
  if (!ne.every((size) => typeof size === 'number') || !Number.isSafeInteger(elements * bytes))
    throw cursor.error(`${tensor} [${ne.join(', ')}] has more bytes than any file`);
  const row = (ne[0] as number | undefined) ?? 1;
  if (row % block !== 0) throw cursor.error(`${tensor} has rows of ${row}, which blocks of ${block} (${type}) do not divide`);
  const offset = cursor.scalar('u64', `the offset of ${tensor}`);
  if (typeof offset !== 'number') throw cursor.error(`${tensor} has offset ${offset}, which lies outside of any file`);
  return { name, type, shape: (ne as number[]).toReversed(), offset, bytes: (elements / block) * bytes };
}

const typeById = new Map(Object.entries(tensorTypes).map(([name, { id }]) => [id, name]));

/** Tensors lie one after another, each padded to the alignment, in the order of their listing: no hole, no overlap, nothing left over. */
function placed(
  tensors: readonly Declared[],
  alignment: number,
  dataStart: number,
  size: number,
  cursor: ByteCursor,
): readonly GgufTensor[] {
  let next = 0;
  let end = dataStart;
  for (const { name, offset, bytes } of tensors) {
    if (offset !== next) throw cursor.error(`tensor ${quote(name)} has offset ${offset}; after the tensors before it must come ${next}`);
    end = dataStart + offset + bytes;
    next = Math.ceil((offset + bytes) / alignment) * alignment;
    if (end > size)
      throw cursor.error(`tensor ${quote(name)} ends at byte ${end}, the file at ${size}: it is truncated, or its download did not finish`);
  }
  if (tensors.length > 0 && size > dataStart + next) throw cursor.error(`${size - dataStart - next} bytes at its end belong to no tensor`);
  return tensors;
}

/** What a message about a file begins with. */
export function ggufError(file: string, problem: string): FewbitError {
  return new FewbitError('checkpoint', `${file}: ${problem}.`);
}
