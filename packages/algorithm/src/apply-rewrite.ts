import { FewbitError, type Matrix, matrix, type TensorName } from '@fewbit/core';
import type { Rewrite } from './types.js';

/** Tensors by checkpoint name; weights are [out, in], vectors (gains, biases) [n, 1]. */
export type Weights = ReadonlyMap<TensorName, Matrix>;

/**
 * The tensors that a rewrite changes, as new matrices; `weights` is left alone. The producer's bias is found as `….bias` beside `….weight`.
 * Throws `usage` for a tensor that is missing or does not have by.length channels, `numeric` for a factor that is zero or not finite.
 */
export function applyRewrite(rewrite: Rewrite, weights: Weights): Map<TensorName, Matrix> {
  const { producer, consumers, by, gainOffset = 0 } = rewrite;
  const bad = by.findIndex((factor) => !Number.isFinite(factor) || factor === 0);
  if (bad >= 0)
    throw new FewbitError(
      'numeric',
      `A scale rewrite of ${producer} has the factor ${by[bad]} for channel ${bad}: it must be finite and not 0.`,
    );
  const changed = new Map<TensorName, Matrix>();
  changed.set(producer, divideRows(producer, requireTensor(weights, producer), by, gainOffset));
  const bias = producer.replace(/\.weight$/, '.bias');
  const biasTensor = bias === producer ? undefined : weights.get(bias);
  if (biasTensor) changed.set(bias, divideRows(bias, biasTensor, by, 0));
  for (const name of consumers) changed.set(name, multiplyColumns(name, requireTensor(weights, name), by));
  return changed;
}

function divideRows(name: TensorName, { rows, cols, data }: Matrix, by: Float32Array, offset: number): Matrix {
  requireChannels(name, rows, by, 'output');
  return matrix(
    rows,
    cols,
    data.map((value, i) => (value + offset) / by[Math.floor(i / cols)]! - offset),
  );
}

function multiplyColumns(name: TensorName, { rows, cols, data }: Matrix, by: Float32Array): Matrix {
  requireChannels(name, cols, by, 'input');
  return matrix(
    rows,
    cols,
    data.map((value, i) => value * by[i % cols]!),
  );
}

function requireChannels(name: TensorName, channels: number, by: Float32Array, side: string): void {
  if (channels === by.length) return;
  throw new FewbitError('usage', `A scale rewrite has ${by.length} factors, but ${name} has ${channels} ${side} channels.`);
}

function requireTensor(weights: Weights, name: TensorName): Matrix {
  const tensor = weights.get(name);
  if (!tensor)
    throw new FewbitError('usage', `A rewrite names ${name}, which is not among the block's tensors: take the names from the block plan.`);
  return tensor;
}
