import type { Pausable } from '@fewbit/core';
import {
  type ActivationPrecision,
  type FormedTensor,
  filled,
  type HostMemory,
  holdCodes,
  integersOf,
  type MatrixIntegers,
  type OrderedMatrix,
} from '@fewbit/kernels';
import * as id from './control.js';
import type { Engine } from './engine.js';
import type { WeightForm } from './weight-form.js';

const scaleTypes = { F32: id.scaleFloat32, F16: id.scaleFloat16, BF16: id.scaleBFloat16 };
/** Codes, one per byte, that are in WebAssembly memory at a time while a weight is packed. */
const packBytes = 1 << 19;

/** Integers as assembly/packed-codes.ts has them. Pauses between strips. */
export function* uploadCodes(
  engine: Engine,
  memory: HostMemory,
  matrix: OrderedMatrix,
  activations: ActivationPrecision,
): Pausable<FormedTensor> {
  const { rows, cols, codes } = matrix;
  const integers = yield* integersOf(matrix);
  const header = packedHeader(matrix, integers, activations);
  const { chunks, length, chunkBytes } = header;
  const blocks = Math.ceil(rows / id.blockRows);
  const blockBytes = chunks * chunkBytes;
  const form = { kind: 'codes', chunks, length } satisfies WeightForm;
  const share = Math.max(1, Math.min(blocks, Math.floor(packBytes / (id.blockRows * cols))));
  const stripBytes = Math.ceil((share * id.blockRows * cols) / 4) * 4;
  const { heap } = engine;
  // Two strips of codes, one of which is filled while the other is packed, then the scales, zero points and bases of the whole matrix.
  const { length: tiles } = integers.scales;
  const strips = heap.allocate(2 * stripBytes + tiles * (integers.bases ? 8 : 5));
  const [scales, others] = [strips + 2 * stripBytes, strips + 2 * stripBytes + tiles * 4];
  try {
    const tensor = holdCodes(memory, matrix, id.headerBytes + blocks * blockBytes, form);
    const at = tensor.data.byteOffset;
    const { buffer } = heap.memory;
    const words = Object.values(header);
    if (integers.levels) new Uint8Array(buffer, at, 16).set(integers.levels);
    new Int32Array(buffer, at + 16, words.length).set(words);
    new Float32Array(buffer, scales, tiles).set(integers.scales);
    if (typeof integers.zeros !== 'number') new Uint8Array(buffer, others, tiles).set(integers.zeros);
    if (integers.bases) new Float32Array(buffer, others, tiles).set(integers.bases);
    const { tileRows, across } = integers;
    const pack = function* (): Pausable<void> {
      for (let block = 0; block < blocks; block += share) {
        if (block > 0) yield;
        const part = codes.subarray(block * id.blockRows * cols, (block + share) * id.blockRows * cols);
        const strip = strips + ((block / share) % 2) * stripBytes;
        new Uint8Array(buffer, strip, part.length).set(part);
        engine.settle(); // of the other strip, whose turn is next
        engine.run(id.packCodes, Math.min(share, blocks - block), [at, block, strip, scales, others, others, tileRows, across]);
        engine.begin();
      }
    };
    return yield* filled(memory, tensor, pack());
  } finally {
    heap.free(strips);
  }
}

/** In the order of assembly/packed-codes.ts; the table of levels comes before it. */
function packedHeader({ rows, cols }: OrderedMatrix, integers: MatrixIntegers, activations: ActivationPrecision) {
  const { group, scaleType, zeros, bases, levels } = integers;
  const perGroup = Math.ceil(group / id.longestChunk);
  const length = Math.ceil(Math.min(group, id.longestChunk) / 16) * 16;
  const bits = widthOf(integers.bits, length);
  const ownZeros = typeof zeros === 'number' ? 0 : 1;
  const perRow = (scaleType === 'F32' ? 4 : 2) + ownZeros + (bases ? 4 : 0);
  // A run of 32 inputs is as many words as codes have bits; half a run takes half of them, or one more.
  const codeBytes = 4 * id.blockRows * (Math.floor(length / 32) * bits + (length % 32 === 0 ? 0 : Math.ceil(bits / 2)));
  return {
    rows,
    cols,
    group,
    perGroup,
    chunks: Math.floor(cols / group) * perGroup + Math.ceil((cols % group) / id.longestChunk),
    length,
    bits,
    scaleType: scaleTypes[scaleType],
    ownZeros,
    ownBases: bases ? 1 : 0,
    zero: typeof zeros === 'number' ? zeros : 0,
    codeBytes,
    chunkBytes: codeBytes + id.blockRows * perRow,
    activationBits: activations === 'int8' ? 8 : 16,
    ownLevels: levels ? 1 : 0,
  };
}

/** Bits that a code takes in chunks of `length` inputs. */
function widthOf(bits: number, length: number): number {
  if (bits === 7) return 8; // rare
  return bits === 3 && length === 16 ? 4 : bits; // two words either way, and whole ones are faster
}
