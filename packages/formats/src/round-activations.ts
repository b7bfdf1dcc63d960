import { FewbitError, firstNonFinite, type Matrix } from '@fewbit/core';
import { createFormat } from './create-format.js';
import { decodeMatrix } from './decode-matrix.js';
import { encodeMatrix } from './encode-matrix.js';
import type { ActivationRounding } from './types.js';

/**
 * What a linear layer sees of its input x [tokens, inputs] when its activations are rounded so. Multiplying that by the decoded weight
 * is what an engine's integer or FP8 product gives, but for the order of its sums. With an outlier threshold the features that reach it
 * anywhere stay as they are and take no part in the scales (LLM.int8(), Dettmers et al. 2022, section 3.2).
 * Throws `numeric` for NaN or Inf.
 */
export function roundActivations(x: Matrix, { spec, params }: ActivationRounding): Matrix {
  const at = firstNonFinite(x.data);
  if (at >= 0) {
    throw new FewbitError(
      'numeric',
      `The input of a layer holds ${x.data[at]} at token ${Math.floor(at / x.cols)}: it cannot be rounded to ${spec.format.kind} codes.`,
    );
  }
  const outliers = spec.outlierThreshold === undefined ? [] : outlierFeatures(x, spec.outlierThreshold);
  const inliers = outliers.length === 0 ? x : withoutFeatures(x, outliers);
  const options = params === undefined ? {} : { params: [params] };
  const rounded = decodeMatrix(encodeMatrix(inliers, createFormat(spec.format), options));
  for (const feature of outliers) {
    for (let i = feature; i < x.data.length; i += x.cols) rounded.data[i] = x.data[i]!;
  }
  return rounded;
}

function outlierFeatures({ cols, data }: Matrix, threshold: number): number[] {
  const reached = new Set<number>();
  for (let i = 0; i < data.length; i++) if (Math.abs(data[i]!) >= threshold) reached.add(i % cols);
  return [...reached];
}

function withoutFeatures({ rows, cols, data }: Matrix, features: readonly number[]): Matrix {
  const rest = data.slice();
  for (const feature of features) for (let i = feature; i < rest.length; i += cols) rest[i] = 0;
  return { rows, cols, data: rest };
}
