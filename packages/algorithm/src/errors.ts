import { type Matrix, matrix } from '@fewbit/core';
import type { Algebra } from '@fewbit/kernels';

/** ‖W − Ŵ‖²/‖W‖² of a weight [out, in] and its rounding; 0 where both are zero. */
export function weightError(weight: Matrix, quantized: Matrix): number {
  return ratio(squaredDistance(weight.data, quantized.data), squaredNorm(weight.data));
}

/** ‖(W − Ŵ)·X‖²/‖W·X‖² = tr(E·H·Eᵀ)/tr(W·H·Wᵀ), E = W − Ŵ, over the inputs whose gram h = E[x·xᵀ] [in, in] is given; 0 where both are zero. */
export function outputError(weight: Matrix, quantized: Matrix, h: Float64Array, algebra: Algebra): number {
  const { rows, cols, data } = weight;
  const error = matrix(rows, cols);
  for (let i = 0; i < data.length; i++) error.data[i] = data[i]! - quantized.data[i]!;
  return ratio(energy(error, h, algebra), energy(weight, h, algebra));
}

/** tr(A·H·Aᵀ) = Σ (Aᵀ·A)[i,j]·H[i,j]: symmetric, in half the products of A·H. */
function energy(a: Matrix, h: Float64Array, algebra: Algebra): number {
  const n = a.cols;
  const squares = new Float64Array(n * n);
  algebra.gram(a, a, squares);
  let sum = 0;
  for (let i = 0; i < n; i++) {
    sum += squares[i * n + i]! * h[i * n + i]!;
    let above = 0;
    for (let at = i * n + i + 1; at < (i + 1) * n; at++) above += squares[at]! * h[at]!;
    sum += 2 * above;
  }
  return sum;
}

function ratio(part: number, whole: number): number {
  return part === 0 ? 0 : part / whole;
}

export function squaredDistance(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    const d = a[i]! - b[i]!;
    sum += d * d;
  }
  return sum;
}

export function squaredNorm(a: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * a[i]!;
  return sum;
}
