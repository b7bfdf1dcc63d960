import { absMax } from '../abs-max.js';
import { type ScaleType, storableScale } from '../storable-scale.js';
import { tileGrid, tileSize } from '../tile-grid.js';
import type { FloatSpec, NumericFormat } from '../types.js';
import { elementLevels, elements, type FloatParams } from './elements.js';

/**
 * Floats under a float scale: absmax lies on the largest element. Float32 operations as compressed-tensors orders them.
 * A tensor's scale may be bound to several matrices, which then all have the scale of the largest value: vLLM runs them as one under the
 * largest of their scales, and would have to round the others again.
 */
export function scaledFormat(spec: FloatSpec, scaleType: ScaleType): NumericFormat<FloatParams> {
  const { bits, largest, encode, decode, round } = elements[spec.element];
  const scaleOf = (bound: number, shrink: number): FloatParams => {
    if (bound === 0) return { scale: zeroScale[scaleType] };
    return { scale: storableScale(scaleType, Math.fround(Math.fround(bound * Math.fround(shrink)) / largest)) };
  };
  const format: NumericFormat<FloatParams> = {
    spec,
    levels: 2 ** bits,
    tile: (rows, cols) => tileSize(spec.granularity, rows, cols),
    fit: (tile, shrink = 1) => scaleOf(absMax(tile), shrink),
    encode,
    decode,
    round,
    affine: elementLevels(elements[spec.element]),
    storedBits: (rows, cols) => rows * cols * bits + tileGrid(format, rows, cols).count * (scaleType === 'F32' ? 32 : 16),
  };
  if (spec.granularity.kind !== 'tensor') return format;
  // not searched either: each matrix would find a scale of its own
  const bindLike = (params: FloatParams): NumericFormat<FloatParams> => ({ ...format, fit: () => params, search: () => params });
  return {
    ...format,
    bind: (...weights) => (weights.length === 1 ? format : bindLike(scaleOf(Math.max(...weights.map(absMax)), 1))),
    bindLike,
  };
}

/** The scale of an all-zero tile: the machine epsilon, as compressed-tensors has it. */
const zeroScale = { F32: 2 ** -23, F16: 2 ** -10, BF16: 2 ** -7 };
