import { FewbitError, type Matrix } from '@fewbit/core';
import type { SiteSample, Statistic } from './types.js';

/**
 * How much each token counts: all as they come (`none`), or `equal`: by 1/‖x‖² of its input x, so that a few tokens of
 * massive activations do not own the sum. Tokens whose input is zero count nothing.
 */
export type TokenWeight = 'none' | 'equal';

export interface GramOptions {
  /** Default `none`. */
  readonly tokenWeight?: TokenWeight;
}

/** H = E[w·x·xᵀ] over the tokens, [n, n] in double: the Hessian of ‖W·x − Ŵ·x‖² but for a factor. */
export function gram({ tokenWeight = 'none' }: GramOptions = {}): Statistic<Float64Array> {
  return moments(`gram:${tokenWeight}`, false, tokenWeight);
}

/**
 * C = E[w·xf·xᵀ] over the tokens, [n, n] in double; xf is the untouched model's input, x the quantized stream's. w is that of `gram`
 * (from x): with both, W·C·H⁻¹ is the weight that minimises E[w·‖W·xf − Ŵ·x‖²].
 */
export function crossGram({ tokenWeight = 'none' }: GramOptions = {}): Statistic<Float64Array> {
  return moments(`cross-gram:${tokenWeight}`, true, tokenWeight);
}

function moments(id: string, needsFloat: boolean, tokenWeight: TokenWeight): Statistic<Float64Array> {
  return {
    id,
    needsFloat,
    bytes: (columns) => 2 * columns ** 2 * Float64Array.BYTES_PER_ELEMENT,
    work: (columns) => (needsFloat ? columns ** 2 : (columns * (columns + 1)) / 2),
    start(columns, algebra) {
      const sum = new Float64Array(columns * columns);
      let tokens = 0;
      return {
        add(sample) {
          const { left, input } = streams(sample, needsFloat);
          tokens += input.rows;
          if (tokenWeight === 'none') return algebra.gram(left, input, sum);
          const scales = inverseNorms(input);
          const scaled = scaleRows(input, scales);
          algebra.gram(left === input ? scaled : scaleRows(left, scales), scaled, sum);
        },
        /** Σ x² of a feature, or Σ xf·x, is finite only where all of them are; it may overflow where they are. */
        finite() {
          for (let i = 0; i < columns; i++) if (!Number.isFinite(sum[i * columns + i]!)) return false;
          return true;
        },
        result() {
          const mean = sum.slice();
          for (let i = 0; i < mean.length; i++) mean[i]! /= Math.max(tokens, 1);
          if (!needsFloat) mirror(mean, columns);
          return mean;
        },
      };
    },
  };
}

/** xᵀ·x comes from its two sides being one object, xfᵀ·x from two. */
function streams({ input, floatInput }: SiteSample, needsFloat: boolean): { left: Matrix; input: Matrix } {
  if (!needsFloat) return { left: input, input };
  if (floatInput?.rows !== input.rows || floatInput.cols !== input.cols) {
    throw new FewbitError(
      'usage',
      `A cross gram needs the untouched model's input beside each sample, of the same shape ${input.rows} × ${input.cols}.`,
    );
  }
  return { left: floatInput === input ? { ...input } : floatInput, input };
}

/** Sets the lower triangle of a [n, n] to the upper one, by squares of a cache line. */
function mirror(a: Float64Array, n: number): void {
  const side = 8;
  for (let first = 0; first < n; first += side) {
    const last = Math.min(first + side, n);
    for (let block = 0; block <= first; block += side) {
      for (let i = first; i < last; i++) {
        const end = Math.min(block + side, i);
        for (let j = block; j < end; j++) a[i * n + j] = a[j * n + i]!;
      }
    }
  }
}

/** 1/‖row‖; 0 for a row of zeros. */
function inverseNorms({ rows, cols, data }: Matrix): Float64Array {
  const scales = new Float64Array(rows);
  for (let i = 0; i < rows; i++) {
    let sum = 0;
    for (let j = i * cols; j < (i + 1) * cols; j++) sum += data[j]! * data[j]!;
    scales[i] = sum > 0 ? 1 / Math.sqrt(sum) : 0;
  }
  return scales;
}

function scaleRows({ rows, cols, data }: Matrix, scales: Float64Array): Matrix {
  const scaled = new Float32Array(data.length);
  for (let i = 0; i < rows; i++) {
    const scale = scales[i]!;
    for (let j = i * cols; j < (i + 1) * cols; j++) scaled[j] = data[j]! * scale;
  }
  return { rows, cols, data: scaled };
}
