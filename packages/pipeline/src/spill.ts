import { createScratchFile, type ScratchFile } from '@fewbit/checkpoint';
import { matrix } from '@fewbit/core';
import type { Backend } from '@fewbit/kernels';
import { lendCopy, type Place } from './place.js';

/** A file of places: what does not fit in memory between stages. */
export interface Spill {
  /** Places of at most `values` numbers each, one after the other in the file; they are read and written through one buffer of that size. */
  places(values: number): (values: number) => Place;
  /** Nothing of the file is left then. */
  close(): Promise<void>;
}

/** Makes the file beside `path`. Its places throw `output` when the disk is full. */
export async function openSpill(path: string, backend: Backend): Promise<Spill> {
  const file = await createScratchFile(path);
  let end = 0;
  return {
    places(values) {
      const buffer: Buffer = { data: new Float32Array(values) };
      return (size) => {
        const place = filePlace(file, backend, buffer, end);
        end += size * Float32Array.BYTES_PER_ELEMENT;
        return place;
      };
    },
    close: () => file.close(),
  };
}

/** Memory that places take turns in: what one has put there is read without the file until another comes. */
interface Buffer {
  readonly data: Float32Array;
  holds?: Place | undefined;
}

function filePlace(file: ScratchFile, backend: Backend, buffer: Buffer, position: number): Place {
  let shape: readonly [rows: number, cols: number] | undefined;
  const part = () => buffer.data.subarray(0, shape![0] * shape![1]);
  const place: Place = {
    lend: async (body) => lendCopy(backend, shape && (await place.read()), body),
    async put(tensor) {
      shape = tensor.shape as [number, number];
      buffer.holds = undefined;
      try {
        await backend.download(tensor, part());
      } finally {
        backend.free(tensor);
      }
      await file.write(bytesOf(part()), position);
      buffer.holds = place;
    },
    async read() {
      if (buffer.holds !== place) {
        buffer.holds = undefined;
        await file.read(bytesOf(part()), position);
        buffer.holds = place;
      }
      return matrix(...shape!, part());
    },
    clear() {
      shape = undefined;
    },
  };
  return place;
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
