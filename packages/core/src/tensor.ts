import { FewbitError } from './error.js';
import { fromBf16, fromF16, toBf16, toF16 } from './float16.js';
import { firstNonFinite } from './matrix.js';
import { inStrips, type Pausable } from './pausable.js';

/** Bytes per element of each dtype, by its safetensors name. */
export const dtypeBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
} as const; // prettier-ignore
export type DType = keyof typeof dtypeBytes;
export const floatDTypes = ['F32', 'F16', 'BF16', 'F64'] as const satisfies readonly DType[];
export type FloatDType = (typeof floatDTypes)[number];

/** The full name of a tensor in a checkpoint, such as `model.layers.0.mlp.up_proj.weight`. */
export type TensorName = string;

/** Stored bytes with their meaning: little-endian, row-major; `[]` is one element. */
export interface Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

export function isFloat(dtype: DType): dtype is FloatDType {
  return (floatDTypes as readonly DType[]).includes(dtype);
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Float values of a float tensor, widened (F64: rounded) to float32; always a copy. Throws `unsupported` for other dtypes. */
export function toFloat32(tensor: Tensor): Float32Array {
  const { dtype, data } = tensor;
  const bytes = data.byteOffset % 8 === 0 ? data : data.slice();
  const count = elementCount(tensor.shape);
  switch (dtype) {
    case 'F32':
      return new Float32Array(bytes.buffer, bytes.byteOffset, count).slice();
    case 'F64':
      return Float32Array.from(new Float64Array(bytes.buffer, bytes.byteOffset, count));
    case 'BF16': {
      const out = new Uint32Array(count);
      const half = new Uint16Array(bytes.buffer, bytes.byteOffset, count);
      for (let i = 0; i < count; i++) out[i] = half[i]! << 16;
      return new Float32Array(out.buffer);
    }
    case 'F16': {
      const half = new Uint16Array(bytes.buffer, bytes.byteOffset, count);
      const out = new Float32Array(count);
      for (let i = 0; i < count; i++) out[i] = fromF16(half[i]!); // from() would make an object of every value
      return out;
    }
    default:
      throw new FewbitError('unsupported', `A ${dtype} tensor has no float values by itself; read it through its layout.`);
  }
}

/** The same with pauses. */
export function* toFloat32InStrips({ dtype, shape, data }: Tensor): Pausable<Float32Array> {
  const out = new Float32Array(elementCount(shape));
  const width = dtypeBytes[dtype];
  yield* inStrips(out.length, 1, (start, end) => {
    out.set(toFloat32({ dtype, shape: [end - start], data: data.subarray(start * width, end * width) }), start);
  });
  return out;
}

/** Index of the first NaN or Inf of a BF16 or F32 tensor, or -1. */
export function firstNonFiniteStored({ dtype, data }: Tensor & { readonly dtype: 'BF16' | 'F32' }): number {
  const bytes = data.byteOffset % 4 === 0 ? data : data.slice();
  if (dtype === 'F32') return firstNonFinite(new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4));
  const words = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  for (let i = 0; i < words.length; i++) if ((words[i]! & 0x7f80) === 0x7f80) return i;
  return -1;
}

/** Stores float values as `dtype`, rounding half to even. */
export function fromFloat32(values: Float32Array, dtype: FloatDType, shape: readonly number[]): Tensor {
  if (values.length !== elementCount(shape)) {
    throw new FewbitError('usage', `Shape [${shape}] needs ${elementCount(shape)} values, got ${values.length}.`);
  }
  const typed =
    dtype === 'F32'
      ? values.slice()
      : dtype === 'F64'
        ? Float64Array.from(values)
        : Uint16Array.from(values, dtype === 'BF16' ? toBf16 : toF16);
  return { dtype, shape, data: new Uint8Array(typed.buffer) };
}

/** `value` as it would read back from a tensor of `dtype`. */
export function roundTo(dtype: FloatDType, value: number): number {
  switch (dtype) {
    case 'F64':
      return value;
    case 'F32':
      return Math.fround(value);
    case 'F16':
      return fromF16(toF16(value));
    case 'BF16':
      return fromBf16(toBf16(value));
  }
}

/** A typed integer tensor. */
export function fromIntegers(values: Int32Array | Uint32Array | Int8Array | Uint8Array | BigInt64Array, shape: readonly number[]): Tensor {
  const dtype: DType =
    values instanceof BigInt64Array ? 'I64' : values instanceof Int8Array ? 'I8' : values instanceof Uint8Array ? 'U8' : 'I32'; // packed 32-bit words are stored as I32, whatever their sign in memory
  return { dtype, shape, data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
}
