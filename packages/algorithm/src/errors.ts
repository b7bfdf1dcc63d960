import type { Matrix } from '@fewbit/core';
import type { Algebra } from '@fewbit/kernels';

/** ‖W − Ŵ‖²/‖W‖² of a weight [out, in] and its rounding; 0 where both are zero. */
export function weightError(weight: Matrix, quantized: Matrix): number {
  return ratio(squaredDistance(weight.data, quantized.data), squaredNorm(weight.data));
}

/** ‖(W − Ŵ)·X‖²/‖W·X‖² = tr(E·H·Eᵀ)/tr(W·H·Wᵀ), E = W − Ŵ, over the inputs whose gram h = E[x·xᵀ] [in, in] is given; 0 where both are zero. */
export function outputError(weight: Matrix, quantized: Matrix, h: Float64Array, algebra: Algebra): number {
  const exact = Float64Array.from(weight.data);
  const error = exact.map((value, i) => value - quantized.data[i]!);
  return ratio(energy(error, h, weight, algebra), energy(exact, h, weight, algebra));
}

/** tr(A·H·Aᵀ) */
function energy(a: Float64Array, h: Float64Array, { rows, cols }: Matrix, algebra: Algebra): number {
  const product = algebra.product(a, h, rows, cols, cols);
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * product[i]!;
  return sum;
}

function ratio(part: number, whole: number): number {
  return part === 0 ? 0 : part / whole;
}

export function squaredDistance(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum;
}

export function squaredNorm(a: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! ** 2;
  return sum;
}
