import { FewbitError, type Matrix } from '@fewbit/core';
import {
  formatName,
  type IntColumns,
  type IntParams,
  type IntSpec,
  intColumns,
  intFormat,
  type ParamList,
  type QuantizedMatrix,
  tileGrid,
} from '@fewbit/formats';
import {
  type ActivationPrecision,
  type FormedTensor,
  type HostMemory,
  holdCodes,
  type OutlierPlaces,
  type WeightForms,
} from '@fewbit/kernels';
import * as id from './control.js';
import type { Engine } from './engine.js';

/** How a weight lies in memory, where not as float32. */
export type WeightForm = { readonly kind: 'bf16' } | ({ readonly kind: 'codes' } & PackedCodes);

/** What the header of packed codes says (assembly/packed-codes.ts), as far as JavaScript needs it, and what lies behind them. */
export interface PackedCodes {
  /** Chunks per row, and inputs per chunk with its padding. */
  readonly chunks: number;
  readonly length: number;
  /** Where the matrix has any. */
  readonly outliers?: OutlierPlaces;
}

const scaleTypes = { F32: id.scaleFloat32, F16: id.scaleFloat16, BF16: id.scaleBFloat16 };
/** Codes, one per byte, that are in WebAssembly memory at a time while a weight is packed. */
const packBytes = 1 << 20;

/** Integer codes as assembly/packed-codes.ts has them, and floats as bf16 where that loses nothing. */
export function weightForms(engine: Engine, memory: HostMemory): WeightForms {
  const rounded = (bits: number) => `rounded to ${bits} bits per group, or per ${id.longestChunk} inputs of a longer one`;
  return {
    activations: { '16-bit': rounded(16), int8: rounded(8) },
    rounds: () => true,
    rejects: rejection,
    upload: (weight, { activations = '16-bit' } = {}) =>
      'codes' in weight ? uploadCodes(engine, memory, weight, activations) : uploadFloats(memory, weight),
  };
}

function rejection({ spec, columnGroup }: QuantizedMatrix): string | undefined {
  if (spec.kind !== 'int') return `${formatName(spec)} has no WebAssembly kernel`;
  if (spec.granularity.kind === 'flat') return 'runs of elements across rows have no WebAssembly kernel';
  if (columnGroup) return 'columns in groups out of order have no WebAssembly kernel';
  return undefined;
}

function uploadCodes(engine: Engine, memory: HostMemory, matrix: QuantizedMatrix, activations: ActivationPrecision): FormedTensor {
  const reason = rejection(matrix);
  if (reason !== undefined) throw new FewbitError('usage', `${reason}; decode the matrix and upload it.`);
  const { rows, cols, codes } = matrix;
  const spec = matrix.spec as IntSpec;
  const params = matrix.params as ParamList<IntParams>;
  const { tileRows, tileCols, across } = tileGrid(intFormat(spec), rows, cols);
  const columns = intColumns(params);
  const header = packedHeader(matrix, tileCols, activations, columns);
  const { chunks, length, chunkBytes } = header;
  const blocks = Math.ceil(rows / id.blockRows);
  const blockBytes = chunks * chunkBytes;
  const form = { kind: 'codes', chunks, length } satisfies WeightForm;
  const share = Math.max(1, Math.min(blocks, Math.floor(packBytes / (id.blockRows * cols))));
  const stripBytes = Math.ceil((share * id.blockRows * cols) / 4) * 4;
  const { heap } = engine;
  // A strip of codes, then the scales and zero points of the whole matrix.
  const strip = heap.allocate(stripBytes + params.length * 5);
  const [scales, zeros] = [strip + stripBytes, strip + stripBytes + params.length * 4];
  try {
    const tensor = holdCodes(memory, matrix, id.headerBytes + blocks * blockBytes, form);
    const at = tensor.data.byteOffset;
    const { buffer } = heap.memory;
    new Int32Array(buffer, at, id.headerBytes / 4).set(Object.values(header));
    new Float32Array(buffer, scales, params.length).set(columns.scales);
    if (typeof columns.zeros !== 'number') new Uint8Array(buffer, zeros, params.length).set(columns.zeros);
    for (let block = 0; block < blocks; block += share) {
      const part = codes.subarray(block * id.blockRows * cols, (block + share) * id.blockRows * cols);
      new Uint8Array(buffer, strip, part.length).set(part);
      engine.run(id.packCodes, Math.min(share, blocks - block), [at, block, strip, scales, zeros, tileRows, across]);
      engine.settle();
    }
    return tensor;
  } finally {
    heap.free(strip);
  }
}

/** In the order of assembly/packed-codes.ts. */
function packedHeader({ rows, cols, spec }: QuantizedMatrix, tileCols: number, activations: ActivationPrecision, { zeros }: IntColumns) {
  const { bits, scaleType } = spec as IntSpec;
  const group = Math.min(tileCols, cols);
  const perGroup = Math.ceil(group / id.longestChunk);
  const length = Math.ceil(Math.min(group, id.longestChunk) / 16) * 16;
  const slot = bits <= 2 ? 2 : bits <= 4 ? 4 : 8;
  const ownZeros = typeof zeros === 'number' ? 0 : 1;
  return {
    rows,
    cols,
    group,
    perGroup,
    chunks: Math.floor(cols / group) * perGroup + Math.ceil((cols % group) / id.longestChunk),
    length,
    slot,
    scaleType: scaleTypes[scaleType],
    ownZeros,
    zero: typeof zeros === 'number' ? zeros : 0,
    chunkBytes: length * slot + id.blockRows * (scaleType === 'F32' ? 4 : 2) + ownZeros * id.blockRows,
    activationBits: activations === 'int8' ? 8 : 16,
  };
}

function uploadFloats(memory: HostMemory, { rows, cols, data }: Matrix) {
  const words = new Uint32Array(data.buffer, data.byteOffset, data.length);
  if (words.some((word) => (word & 0xffff) !== 0)) return memory.upload(data, [rows, cols]);
  const tensor = memory.hold([rows, cols], 2 * data.length, { kind: 'bf16' } satisfies WeightForm);
  const short = new Uint16Array(tensor.data.buffer, tensor.data.byteOffset, data.length);
  for (let i = 0; i < words.length; i++) short[i] = words[i]! >>> 16;
  return tensor;
}
