import { FewbitError } from '@fewbit/core';
import { mapOrRead } from './map-or-read.js';
import { noSuchTensor } from './no-such-tensor.js';
import { parseHeader } from './parse-header.js';
import type { ByteSource, CheckpointReader } from './types.js';

/** The limit of the reference implementation, which keeps a damaged length from filling the memory. */
const maxHeaderBytes = 100_000_000;

/**
 * Opens a safetensors file: its header is read and checked now, each tensor when asked for.
 * The reader takes the source over, and closes it when it throws. Throws `checkpoint` for a file that breaks any rule of the format.
 */
export async function readSafetensors(source: ByteSource): Promise<CheckpointReader> {
  try {
    const headerBytes = await readHeaderLength(source);
    const dataStart = 8 + headerBytes;
    const tensors = parseHeader(await source.read(8, headerBytes), source.size - dataStart, source.name);
    return {
      tensors,
      async read(name) {
        const tensor = tensors.get(name);
        if (!tensor) throw noSuchTensor(name, tensors.keys(), source.name);
        const { dtype, shape, begin, bytes } = tensor;
        return { dtype, shape, data: await mapOrRead(source, dataStart + begin, bytes) };
      },
      close: () => source.close(),
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function readHeaderLength({ name, size, read }: ByteSource): Promise<number> {
  const refuse = (problem: string): never => {
    throw new FewbitError('checkpoint', `${name}: ${problem}: it is truncated, or no safetensors file.`);
  };
  if (size < 8) return refuse(`a safetensors file begins with 8 bytes of header length, this one has ${size} bytes`);
  const prefix = await read(0, 8);
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length > maxHeaderBytes) return refuse(`a header of ${length} bytes is more than the ${maxHeaderBytes} that the format allows`);
  if (8 + Number(length) > size) return refuse(`a header of ${length} bytes does not fit in a file of ${size} bytes`);
  return Number(length);
}
