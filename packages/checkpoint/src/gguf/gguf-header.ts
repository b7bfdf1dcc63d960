import { FewbitError } from '@fewbit/core';
import { quote } from '../quote.js';
import { type GgufMetadata, type GgufValue, type Scalar, type ScalarType, tensorTypes, valueTypes } from './types.js';

export interface DeclaredTensor {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}

/** What the Python tools write too. */
export const alignment = 32;

export function padded(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}

/**
 * All that stands before the data of a GGUF file, padding included; tensors lie in the order given, each padded.
 * Throws `usage` for what llama.cpp would not load: empty arrays, long or repeated names.
 */
export function ggufHeader(metadata: GgufMetadata, tensors: readonly DeclaredTensor[]): Uint8Array {
  const sink = byteSink();
  sink.raw(new TextEncoder().encode('GGUF'));
  sink.scalar('u32', 3);
  sink.scalar('u64', tensors.length);
  sink.scalar('u64', metadata.size);
  for (const [key, value] of metadata) {
    sink.scalar('string', key);
    writeValue(sink, key, value);
  }
  let offset = 0;
  for (const { name, type, shape, bytes } of tensors) {
    if (new TextEncoder().encode(name).length > 63)
      throw new FewbitError('usage', `Tensor name ${quote(name)} is longer than the 63 bytes that ggml allows.`);
    sink.scalar('string', name);
    sink.scalar('u32', shape.length);
    for (const size of shape.toReversed()) sink.scalar('u64', size);
    sink.scalar('u32', tensorTypes[type]!.id);
    sink.scalar('u64', offset);
    offset += padded(bytes);
  }
  return sink.padded();
}

function writeValue(sink: ByteSink, key: string, value: GgufValue): void {
  sink.scalar('u32', valueTypes.indexOf(value.type));
  if (value.type !== 'array') {
    sink.scalar(value.type, value.value);
    return;
  }
  if (value.value.length === 0)
    throw new FewbitError('usage', `GGUF key ${quote(key)} is an empty array, which its readers refuse: leave it out.`);
  sink.scalar('u32', valueTypes.indexOf(value.of));
  sink.scalar('u64', value.value.length);
  for (const element of value.value) sink.scalar(value.of, element);
}

type ByteSink = ReturnType<typeof byteSink>;

function byteSink() {
  let bytes = new Uint8Array(2 ** 16);
  let at = 0;
  const take = (length: number): [DataView, number] => {
    if (at + length > bytes.length) {
      const larger = new Uint8Array(Math.max(2 * bytes.length, at + length));
      larger.set(bytes);
      bytes = larger;
    }
    at += length;
    return [new DataView(bytes.buffer), at - length];
  };
  const raw = (content: Uint8Array): void => {
    const [, from] = take(content.length);
    bytes.set(content, from);
  };
  const scalar = (type: ScalarType, value: Scalar): void => {
    if (type === 'string') {
      const content = new TextEncoder().encode(String(value));
      scalar('u64', content.length);
      raw(content);
    } else {
      const { width, set } = setters[type];
      set(...take(width), value);
    }
  };
  return { raw, scalar, padded: () => bytes.slice(0, Math.ceil(at / alignment) * alignment) };
}

interface Setter {
  readonly width: number;
  readonly set: (view: DataView, at: number, value: Scalar) => void;
}

const setters: Readonly<Record<Exclude<ScalarType, 'string'>, Setter>> = {
  u8: { width: 1, set: (view, at, value) => view.setUint8(at, Number(value)) },
  bool: { width: 1, set: (view, at, value) => view.setUint8(at, Number(value)) },
  i8: { width: 1, set: (view, at, value) => view.setInt8(at, Number(value)) },
  u16: { width: 2, set: (view, at, value) => view.setUint16(at, Number(value), true) },
  i16: { width: 2, set: (view, at, value) => view.setInt16(at, Number(value), true) },
  u32: { width: 4, set: (view, at, value) => view.setUint32(at, Number(value), true) },
  i32: { width: 4, set: (view, at, value) => view.setInt32(at, Number(value), true) },
  f32: { width: 4, set: (view, at, value) => view.setFloat32(at, Number(value), true) },
  u64: { width: 8, set: (view, at, value) => view.setBigUint64(at, BigInt(value), true) },
  i64: { width: 8, set: (view, at, value) => view.setBigInt64(at, BigInt(value), true) },
  f64: { width: 8, set: (view, at, value) => view.setFloat64(at, Number(value), true) },
};
