import type { CommandQueue } from './command-queue.js';

/** What packing reads: arrays of JavaScript's, some of which may be missing. */
export type Sources = readonly (Uint8Array | Int8Array | Float32Array | undefined)[];

/** Packs a weight: on the engine's threads and in its turn, while JavaScript goes on. `sources` must stay as they are until then. */
export type PackWeights = (
  command: 'packCodes' | 'packLevels',
  sources: Sources,
  operands: readonly number[],
  shape: readonly (number | boolean)[],
) => void;

export function packWeights(queue: CommandQueue, addressOf: (buffer: ArrayBuffer) => number): PackWeights {
  const place = (source: Sources[number]) => (source ? addressOf(source.buffer as ArrayBuffer) + source.byteOffset : 0);
  return (command, sources, operands, shape) => {
    // shared memory has no address here
    const own = sources.map((source) => (source && !(source.buffer instanceof ArrayBuffer) ? source.slice() : source));
    queue.push(command, [...own.map(place), ...operands], shape);
    queue.begin(own);
  };
}
