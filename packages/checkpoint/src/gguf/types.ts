/** The GGUF container, version 3. Source: ggml's `gguf.h` and `docs/gguf.md`. */

/** Value types by their id in the file; 9 is an array. */
export const valueTypes = ['u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'f32', 'bool', 'string', 'array', 'u64', 'i64', 'f64'] as const;
export type ScalarType = Exclude<(typeof valueTypes)[number], 'array'>;

export type Scalar = number | bigint | boolean | string;

/** A metadata value with its type. 64-bit integers beyond 2^53 are bigints. */
export type GgufValue =
  | { readonly type: ScalarType; readonly value: Scalar }
  | { readonly type: 'array'; readonly of: ScalarType; readonly value: readonly Scalar[] };

export type GgufMetadata = ReadonlyMap<string, GgufValue>;

export interface GgufTensor {
  readonly name: string;
  /** A name of `tensorTypes`. */
  readonly type: string;
  /** Row-major, slowest dimension first: the reverse of `ne` in the file. */
  readonly shape: readonly number[];
  /** From the start of the data. */
  readonly offset: number;
  readonly bytes: number;
}

export interface GgufHeader {
  readonly metadata: GgufMetadata;
  readonly tensors: readonly GgufTensor[];
  readonly alignment: number;
  /** Where the data begin in the file. */
  readonly dataStart: number;
}

/** Elements and bytes of a block. */
interface TensorType {
  readonly id: number;
  readonly block: number;
  readonly bytes: number;
}

/** Every type of current files, also those that Fewbit does not decode: their sizes are needed to check the others' places. */
export const tensorTypes: Readonly<Record<string, TensorType>> = Object.fromEntries(
  [
    ['F32', 0, 1, 4],
    ['F16', 1, 1, 2],
    ['q4_0', 2, 32, 18],
    ['q4_1', 3, 32, 20],
    ['q5_0', 6, 32, 22],
    ['q5_1', 7, 32, 24],
    ['q8_0', 8, 32, 34],
    ['q8_1', 9, 32, 36],
    ['q2_k', 10, 256, 84],
    ['q3_k', 11, 256, 110],
    ['q4_k', 12, 256, 144],
    ['q5_k', 13, 256, 176],
    ['q6_k', 14, 256, 210],
    ['q8_k', 15, 256, 292],
    ['iq2_xxs', 16, 256, 66],
    ['iq2_xs', 17, 256, 74],
    ['iq3_xxs', 18, 256, 98],
    ['iq1_s', 19, 256, 50],
    ['iq4_nl', 20, 32, 18],
    ['iq3_s', 21, 256, 110],
    ['iq2_s', 22, 256, 82],
    ['iq4_xs', 23, 256, 136],
    ['I8', 24, 1, 1],
    ['I16', 25, 1, 2],
    ['I32', 26, 1, 4],
    ['I64', 27, 1, 8],
    ['F64', 28, 1, 8],
    ['iq1_m', 29, 256, 56],
    ['BF16', 30, 1, 2],
    ['tq1_0', 34, 256, 54],
    ['tq2_0', 35, 256, 66],
    ['mxfp4', 39, 32, 17],
    ['nvfp4', 40, 64, 36],
    ['q1_0', 41, 128, 18],
    ['q2_0', 42, 64, 18],
  ].map(([name, id, block, bytes]) => [name, { id, block, bytes }]),
);
