import type { ActivationPrecision } from '../../../packages/kernels/src/index.js';
import type { FormatName } from './format-specs.js';

/**
 * Largest error of a product with weights of each format (product-error.ts), by what the backend takes its inputs as; behind each row what was seen: the worst over
 * ragged shapes on the five native sets of x86 and both WebAssembly builds. No tolerance is more than three times that. A format that no backend multiplies so has none.
 *
 * Inputs rounded to ±n codes of a chunk's largest value err by a twelfth of a squared step, so by absmax/(n·√12), whatever the weights are: of 128 normal values the
 * largest is about 2.8 deviations (6.4e-3 with n 127, 2.5e-5 with n 32767), of 32 and fewer 2.3 (5.2e-3, 2.0e-5). A product of one row by one scatters about that.
 * Inputs as they are leave the order of float32 sums, about √k·6e-8 at worst.
 */
export const productTolerances: Readonly<Record<FormatName, Readonly<Partial<Record<ActivationPrecision | 'f32', number>>>>> = {
  int2: { int16: 6e-5, int8: 1.6e-2 }, // 2.9e-5, 6.8e-3
  int3: { int16: 6e-5, int8: 1.6e-2 }, // 3.5e-5, 7.1e-3
  int4: { int16: 6e-5, int8: 1.6e-2 }, // 3.4e-5, 8.4e-3
  int5: { int16: 6e-5, int8: 1.6e-2 }, // 3.3e-5, 7.1e-3
  int6: { int16: 6e-5, int8: 1.6e-2 }, // 3.5e-5, 7.1e-3
  int7: { int16: 6e-5, int8: 1.6e-2 }, // 3.4e-5, 7.1e-3
  int8: { int16: 6e-5, int8: 1.6e-2 }, // 3.5e-5, 7.1e-3

  fp8: { f32: 1e-6 }, // 4.3e-7
  'fp8-e5m2': { f32: 1e-6 }, // 4.0e-7
  fp4: { int16: 6e-5, int8: 1.6e-2 }, // 3.1e-5, 7.1e-3
  mxfp8: { f32: 1e-6 }, // 4.0e-7
  mxfp4: { int16: 5e-5, int8: 1.3e-2 }, // 2.5e-5, 6.6e-3
  nvfp4: { int16: 5e-5, int8: 1.3e-2 }, // 2.2e-5, 7.5e-3
  nf4: { f32: 1e-6 }, // 3.7e-7
  'bnb-fp4': { f32: 1e-6 }, // 4.5e-7
  codebook: { f32: 1e-6 }, // 4.0e-7
  'two-level': { int16: 6e-5, int8: 1.6e-2 }, // 2.6e-5, 8.0e-3

  'ggml q4_0': { int16: 5e-5, int8: 1.3e-2 }, // 2.2e-5, 6.5e-3
  'ggml q4_1': { int16: 5e-5, int8: 1.3e-2 }, // 2.2e-5, 6.5e-3
  'ggml q5_0': { int16: 5e-5, int8: 1.3e-2 }, // 2.2e-5, 6.6e-3
  'ggml q5_1': { int16: 5e-5, int8: 1.3e-2 }, // 2.2e-5, 6.5e-3
  'ggml q8_0': { int16: 5e-5, int8: 1.3e-2 }, // 2.2e-5, 6.5e-3
  'ggml q2_k': { int16: 5e-5, int8: 1.3e-2 }, // 1.9e-5, 6.3e-3
  'ggml q3_k': { int16: 5e-5, int8: 1.3e-2 }, // 2.0e-5, 5.4e-3
  'ggml q4_k': { int16: 5e-5, int8: 1.3e-2 }, // 2.7e-5, 5.9e-3
  'ggml q5_k': { int16: 5e-5, int8: 1.3e-2 }, // 2.7e-5, 5.9e-3
  'ggml q6_k': { int16: 5e-5, int8: 1.3e-2 }, // 2.0e-5, 5.2e-3
  'ggml iq4_nl': { int16: 5e-5, int8: 1.3e-2 }, // 2.2e-5, 6.6e-3
  'ggml iq4_xs': { int16: 5e-5, int8: 1.3e-2 }, // 2.8e-5, 5.9e-3
  'ggml tq1_0': { int16: 7e-5, int8: 1.8e-2 }, // 3.9e-5, 9.5e-3
  'ggml tq2_0': { int16: 7e-5, int8: 1.8e-2 }, // 3.9e-5, 9.5e-3
  'ggml mxfp4': { int16: 5e-5, int8: 1.3e-2 }, // 2.2e-5, 6.7e-3
};

/** Largest relative L2 error of the other ops against the reference; seen like those of products, the same bound. */
export const opTolerances = {
  copy: 0,
  // one or two roundings in float32, and functions to about 1e-7
  elementwise: 2.5e-7, // 8.9e-8
  norm: 2.5e-7, // 8.5e-8
  rotate: 1.8e-7, // 6.4e-8
  decode: 2e-7, // 6.8e-8
  crossEntropy: 1.3e-7, // 4.4e-8
  // float32 sums over hundreds of terms, in another order
  matmul: 1.2e-6, // 4.4e-7
  gram: 1.2e-6, // 4.2e-7
  attention: 2e-6, // 9.1e-7
  // the largest of the single sums of a product, beside the usual one, where codes of inputs are known
  sum: 3e-6, // 1.1e-6
  // double
  product: 6e-16, // 2.1e-16
  factor: 5e-15, // 1.8e-15
};
