import { FewbitError, fromFloat32, isFloat, type Tensor, toFloat32 } from '@fewbit/core';
import type { FloatType } from './types.js';

/** A tensor, or values of a shape, in float type `type`; tensors of other types stay as they are. Throws `numeric` for values beyond the type. */
export function storedAs(type: FloatType, tensor: Tensor): Tensor;
export function storedAs(type: FloatType, values: Float32Array, shape: readonly number[]): Tensor;
export function storedAs(type: FloatType, from: Tensor | Float32Array, shape?: readonly number[]): Tensor {
  if (!(from instanceof Float32Array) && (!isFloat(from.dtype) || from.dtype === type)) return from;
  const values = from instanceof Float32Array ? from : toFloat32(from);
  const stored = fromFloat32(values, type, shape ?? (from as Tensor).shape);
  if (type !== 'F16') return stored;
  const at = toFloat32(stored).findIndex((value, i) => !Number.isFinite(value) && Number.isFinite(values[i]!));
  if (at >= 0) throw new FewbitError('numeric', `The value ${values[at]} at ${at} is beyond half precision: convert to bf16 instead.`);
  return stored;
}
