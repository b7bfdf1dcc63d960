import { absMax } from '../abs-max.js';
import { type ScaleType, storableScale } from '../storable-scale.js';
import { tileGrid, tileSize } from '../tile-grid.js';
import type { FloatSpec, NumericFormat } from '../types.js';
import { elementLevels, elements, type FloatParams } from './elements.js';

/** Floats under a float scale: absmax lies on the largest element. Float32 operations as compressed-tensors orders them. */
export function scaledFormat(spec: FloatSpec, scaleType: ScaleType): NumericFormat<FloatParams> {
  const { bits, largest, encode, decode, round } = elements[spec.element];
  const format: NumericFormat<FloatParams> = {
    spec,
    levels: 2 ** bits,
    tile: (rows, cols) => tileSize(spec.granularity, rows, cols),
    fit(tile, shrink = 1) {
      const bound = absMax(tile);
      if (bound === 0) return { scale: zeroScale[scaleType] };
      return { scale: storableScale(scaleType, Math.fround(Math.fround(bound * Math.fround(shrink)) / largest)) };
    },
    encode,
    decode,
    round,
    affine: elementLevels(elements[spec.element]),
    storedBits: (rows, cols) => rows * cols * bits + tileGrid(format, rows, cols).count * (scaleType === 'F32' ? 32 : 16),
  };
  return format;
}

/** The scale of an all-zero tile: the machine epsilon, as compressed-tensors has it. */
const zeroScale = { F32: 2 ** -23, F16: 2 ** -10, BF16: 2 ** -7 };
