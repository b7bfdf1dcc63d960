/** Small floats under a shared scale, absmax on the largest element. Float32 operations as compressed-tensors orders them. */
import { fromE2m1, fromE4m3, fromE5m2, toE2m1, toE4m3, toE5m2 } from '@fewbit/core';
import { storableScale } from '../storable-scale.js';
import { tileGrid, tileSize } from '../tile-grid.js';
import type { FloatSpec, NumericFormat, Tile } from '../types.js';

/** What one tile shares: x̂ = element·scale. */
export interface FloatParams {
  /** Finite and positive, exact in the spec's `scaleType`. */
  readonly scale: number;
}

/** Floats as `spec` says; a code is the element's byte (its nibble for E2M1). The spec is trusted: `createFormat` checks it. */
export function floatFormat(spec: FloatSpec): NumericFormat<FloatParams> {
  const { granularity, scaleType } = spec;
  const element = elements[spec.element];
  const format: NumericFormat<FloatParams> = {
    spec,
    levels: 2 ** element.bits,
    tile: (rows, cols) => tileSize(granularity, rows, cols),
    fit(tile, shrink = 1) {
      const bound = absMax(tile);
      if (bound === 0) return { scale: zeroScale[scaleType] };
      return { scale: storableScale(scaleType, Math.fround(Math.fround(bound * Math.fround(shrink)) / element.largest)) };
    },
    encode: element.encode,
    decode: element.decode,
    storedBits: (rows, cols) => rows * cols * element.bits + tileGrid(format, rows, cols).count * (scaleType === 'F32' ? 32 : 16),
  };
  return format;
}

interface Element {
  readonly bits: number;
  readonly largest: number;
  readonly encode: NumericFormat<FloatParams>['encode'];
  readonly decode: NumericFormat<FloatParams>['decode'];
}

/** One pair of functions per element, not per format: a solver's call site then sees the same ones for every layer. */
const elements: Readonly<Record<FloatSpec['element'], Element>> = {
  e4m3: {
    bits: 8,
    largest: 448,
    encode: (value, params) => toE4m3(value / params.scale),
    decode: (code, params) => Math.fround(fromE4m3(code) * params.scale),
  },
  e5m2: {
    bits: 8,
    largest: 57344,
    encode: (value, params) => toE5m2(value / params.scale),
    decode: (code, params) => Math.fround(fromE5m2(code) * params.scale),
  },
  e2m1: {
    bits: 4,
    largest: 6,
    encode: (value, params) => toE2m1(Math.fround(value / params.scale)),
    decode: (code, params) => Math.fround(fromE2m1(code) * params.scale),
  },
};

/** The scale of an all-zero tile: the machine epsilon, as compressed-tensors has it. */
const zeroScale = { F32: 2 ** -23, F16: 2 ** -10, BF16: 2 ** -7 };

/** Largest |x|, in float32. */
function absMax({ rows, cols, data }: Tile): number {
  let largest = 0;
  for (let i = 0; i < rows * cols; i++) largest = Math.max(largest, Math.abs(data[i]!));
  return Math.fround(largest);
}
