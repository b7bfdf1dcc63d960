import { open, rm } from 'node:fs/promises';
import { type DType, dtypeBytes, elementCount, FewbitError, type Tensor, type TensorName } from '@fewbit/core';
import { isTensorName } from './is-tensor-name.js';
import { quote } from './quote.js';
import type { TensorInfo } from './types.js';
import { writeAll } from './write-all.js';

/** One safetensors file in the making. */
export interface ShardWriter {
  readonly path: string;
  /** Of data written so far. */
  readonly bytes: number;
  readonly names: readonly TensorName[];
  write(name: TensorName, tensor: Tensor): Promise<void>;
  /** Puts the header before the data. */
  finish(): Promise<void>;
  /** Lets go of the files; harmless after `finish`. */
  close(): Promise<void>;
}

/** A tensor and where its bytes lie in the data as they came. */
type Arrived = TensorInfo & { readonly name: TensorName; readonly from: number };

/** Widest first; among equals as the reference implementation has them, so that files are the same byte for byte. */
const dtypeOrder: readonly DType[] = [
  ...(['U64', 'I64', 'F64', 'F32', 'U32', 'I32', 'BF16', 'F16', 'U16', 'I16'] as const),
  ...(['F8_E8M0', 'F8_E4M3', 'F8_E5M2', 'I8', 'U8', 'BOOL'] as const),
];

/** Moves this many bytes at a time from the data to the finished file. */
const copyBytes = 1 << 24;

/**
 * The header stands before the data but is known only after them: tensors go to `path`.data as they come, and `finish` copies them to
 * `path` behind the header, by dtype and then by name: every tensor is aligned to its dtype, and the bytes of the file do not depend
 * on the order of arrival.
 */
export async function createShard(path: string): Promise<ShardWriter> {
  const dataPath = `${path}.data`;
  const data = await open(dataPath, 'wx+');
  const tensors: Arrived[] = [];
  let bytes = 0;
  let closed = false;
  const close = async () => {
    if (closed) return;
    closed = true;
    await data.close();
  };
  return {
    path,
    get bytes() {
      return bytes;
    },
    get names() {
      return tensors.map(({ name }) => name);
    },
    async write(name, { dtype, shape, data: content }) {
      if (!isTensorName(name)) throw new FewbitError('usage', `${quote(name)} cannot be the name of a tensor.`);
      const expected = elementCount(shape) * dtypeBytes[dtype];
      if (content.length !== expected) {
        throw new FewbitError('usage', `Tensor ${quote(name)}, ${dtype} [${shape}], takes ${expected} bytes, got ${content.length}.`);
      }
      const from = bytes;
      bytes += content.length;
      await writeAll(data, content, from);
      tensors.push({ name, dtype, shape, bytes: content.length, from });
    },
    async finish() {
      const place = ({ dtype }: Arrived) => dtypeOrder.indexOf(dtype);
      const ordered = tensors.toSorted((a, b) => place(a) - place(b) || (a.name < b.name ? -1 : 1));
      const file = await open(path, 'wx');
      try {
        let at = await writeAll(file, header(ordered), 0);
        const buffer = new Uint8Array(Math.min(copyBytes, Math.max(1, bytes)));
        for (const tensor of ordered) {
          for (let moved = 0; moved < tensor.bytes; ) {
            const { bytesRead } = await data.read(buffer, 0, Math.min(buffer.length, tensor.bytes - moved), tensor.from + moved);
            if (bytesRead === 0) throw new Error(`${dataPath} was cut while it was being written`);
            at = await writeAll(file, buffer.subarray(0, bytesRead), at);
            moved += bytesRead;
          }
        }
        await file.sync();
      } finally {
        await file.close();
        await close();
      }
      await rm(dataPath);
    },
    close,
  };
}

/** Length, JSON, and spaces up to a multiple of 8. Source: huggingface/safetensors, README "Format". */
function header(tensors: readonly Arrived[]): Uint8Array {
  let begin = 0;
  const entries = tensors.map(({ name, dtype, shape, bytes }): [string, unknown] => {
    const offsets = [begin, begin + bytes];
    begin += bytes;
    return [name, { dtype, shape, data_offsets: offsets }];
  });
  // written out, since an object would put names that look like numbers first
  const fields = [['__metadata__', { format: 'pt' }] as const, ...entries].map(
    ([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`,
  );
  const json = new TextEncoder().encode(`{${fields.join(',')}}`);
  const length = Math.ceil(json.length / 8) * 8;
  const out = new Uint8Array(8 + length).fill(0x20);
  new DataView(out.buffer).setBigUint64(0, BigInt(length), true);
  out.set(json, 8);
  return out;
}
