import { type DType, dtypeBytes, elementCount, FewbitError, type Tensor } from '@fewbit/core';

/** The tensor `name`, checked. Throws `checkpoint` naming it where it is absent or has another dtype, shape or length. */
export function expectTensor<D extends DType>(
  tensors: ReadonlyMap<string, Tensor>,
  name: string,
  dtypes: readonly D[],
  shape: readonly number[],
): Tensor & { readonly dtype: D } {
  const expected = `expected ${dtypes.join(' or ')} [${shape.join(', ')}]`;
  const tensor = tensors.get(name);
  if (!tensor) throw new FewbitError('checkpoint', `Tensor ${name} is missing: ${expected}.`);
  const sameShape = tensor.shape.length === shape.length && tensor.shape.every((size, i) => size === shape[i]);
  if (!(dtypes as readonly DType[]).includes(tensor.dtype) || !sameShape) {
    throw new FewbitError('checkpoint', `Tensor ${name} is ${tensor.dtype} [${tensor.shape.join(', ')}]: ${expected}.`);
  }
  const bytes = elementCount(shape) * dtypeBytes[tensor.dtype];
  if (tensor.data.length !== bytes) {
    throw new FewbitError(
      'checkpoint',
      `Tensor ${name} holds ${tensor.data.length} bytes, but ${tensor.dtype} [${shape.join(', ')}] takes ${bytes}.`,
    );
  }
  return tensor as Tensor & { readonly dtype: D };
}

/** A 32-bit tensor's words, without a copy where they are aligned. */
export function wordsOf({ data }: Tensor): Uint32Array {
  const bytes = data.byteOffset % 4 === 0 ? data : new Uint8Array(data); // not slice: a Buffer's shares its memory
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}
