/**
 * Uniform integers. The grids and their float32 order of operations are those of
 * GPTQ (Frantar et al. 2022; `quant.py` of its code) for `symmetric-full` and `asymmetric`,
 * AWQ (Lin et al. 2023) for `symmetric-restricted` and `asymmetric-free`, llama.cpp's Q4_0 for `symmetric-signed`; `symmetric-absmax` has a file of its own.
 */
import { roundHalfEven } from '@fewbit/core';
import { storableScale } from '../storable-scale.js';
import { tileGrid, tileSize } from '../tile-grid.js';
import type { IntScheme, IntSpec, NumericFormat, Tile } from '../types.js';
import { absmaxIntFormat } from './absmax-int-format.js';

/** What one tile of integers shares: x̂ = (code − zero)·scale. */
export interface IntParams {
  /** Finite, not 0, exact in the spec's `scaleType`; negative only in `symmetric-signed`. */
  readonly scale: number;
  /** The code that stands for 0: an integer in 0 … 2^bits − 1. */
  readonly zero: number;
}

/** Uniform integers as `spec` says; codes equal those of torch in float32. The spec is trusted: `createFormat` checks it. */
export function intFormat(spec: IntSpec): NumericFormat<IntParams> {
  const { bits, scheme, granularity, scaleType } = spec;
  if (scheme === 'symmetric-absmax') return absmaxIntFormat(spec) as NumericFormat<IntParams>;
  const levels = 2 ** bits;
  const top = levels - 1;
  const middle = 1 << (bits - 1);
  const symmetric = isSymmetric(scheme);
  const { rangeOf, gridOf } = schemes[scheme];
  const fits = (tile: Tile) => {
    const range = rangeOf(tile);
    return (shrink: number): IntParams => {
      const { step, min } = gridOf(range, levels, Math.fround(shrink));
      const scale = storableScale(scaleType, step);
      if (symmetric) return { scale, zero: middle };
      // from the rounded scale, so that codes and parameters agree on disk; min/scale lies outside the codes where 0 lies outside the range
      const zero = roundHalfEven(Math.fround(-min / scale));
      return { scale, zero: (zero > 0 ? Math.min(zero, top) : 0) | 0 };
    };
  };
  const format: NumericFormat<IntParams> = {
    spec,
    levels,
    tile: (rows, cols) => tileSize(granularity, rows, cols),
    fit: (tile, shrink = 1) => fits(tile)(shrink),
    fits,
    encode: encoders[bits],
    decode,
    round(from, to, start, end, { scale, zero }) {
      for (let i = start; i < end; i++) {
        const code = Math.fround(from[i]! / scale) + halfEven - halfEven + zero;
        // biome-ignore lint/complexity/useMathMinMax: as below
        to[i] = ((code < 0 ? 0 : code > top ? top : code) - zero) * scale;
      }
    },
    storedBits(rows, cols) {
      const bitsPerTile = (scaleType === 'F32' ? 32 : 16) + (symmetric ? 0 : bits);
      return rows * cols * bits + tileGrid(format, rows, cols).count * bitsPerTile;
    },
  };
  return format;
}

/** True where every zero point is 2^(bits − 1). */
export function isSymmetric(scheme: IntScheme): boolean {
  return scheme !== 'asymmetric' && scheme !== 'asymmetric-free';
}

type Encode = NumericFormat<IntParams>['encode'];

/** One function per width, not per format: a solver's call site then sees the same function for every layer, which V8 inlines. */
const encoders: Record<IntSpec['bits'], Encode> = {
  2: encoder(3),
  3: encoder(7),
  4: encoder(15),
  5: encoder(31),
  6: encoder(63),
  7: encoder(127),
  8: encoder(255),
};

function encoder(top: number): Encode {
  return (value, params) => {
    const code = Math.fround(value / params.scale) + halfEven - halfEven + params.zero;
    // biome-ignore lint/complexity/useMathMinMax: measured: Math.min, which also orders NaN and −0, doubles the time of this hot path
    return (code < 0 ? 0 : code > top ? top : code) | 0;
  };
}

/** Added and taken away, it rounds a double below 2^51 to the nearest integer, halves to even: there the spacing of doubles is 1. */
const halfEven = 1.5 * 2 ** 52;

function decode(code: number, params: IntParams): number {
  return Math.fround((code - params.zero) * params.scale);
}

/** What is looked at in a tile: its lowest and highest value, or in symmetric schemes the bound that its levels are laid out by. */
interface Range {
  readonly low: number;
  readonly high: number;
}

interface Scheme {
  rangeOf(tile: Tile): Range;
  /** The step between levels, not yet rounded to its storage type, and the low end of the range. Float32 operations as torch orders them. */
  gridOf(range: Range, levels: number, shrink: number): { step: number; min: number };
}

const schemes: Record<Exclude<IntScheme, 'symmetric-absmax'>, Scheme> = {
  'symmetric-full': {
    rangeOf: (tile) => ({ low: 0, high: Math.abs(extreme(tile)) }),
    gridOf: ({ high }, levels, shrink) => symmetricGrid(high, shrink, (levels - 1) / 2),
  },
  'symmetric-restricted': {
    rangeOf: (tile) => ({ low: 0, high: Math.abs(extreme(tile)) }),
    gridOf: ({ high }, levels, shrink) => symmetricGrid(high, shrink, levels / 2 - 1),
  },
  'symmetric-signed': {
    rangeOf: (tile) => ({ low: 0, high: extreme(tile) }),
    gridOf: ({ high }, levels, shrink) => symmetricGrid(high, shrink, -levels / 2),
  },
  asymmetric: {
    rangeOf: (tile) => aroundZero(minMax(tile)),
    gridOf: rangeGrid,
  },
  'asymmetric-free': {
    rangeOf(tile) {
      const range = minMax(tile);
      // equal values span nothing: then the range holds 0 as well
      return range.low < range.high ? range : aroundZero(range);
    },
    gridOf: rangeGrid,
  },
};

/** Of a range that always holds 0: what it spans, and its step and low end. */
export const rangeWithZero: Scheme = schemes.asymmetric;

function symmetricGrid(bound: number, shrink: number, steps: number) {
  return { step: Math.fround(Math.fround(bound * shrink) / steps), min: 0 };
}

function aroundZero({ low, high }: Range): Range {
  return { low: Math.min(low, 0), high: Math.max(high, 0) };
}

function rangeGrid({ low, high }: Range, levels: number, shrink: number) {
  const empty = low === high;
  const min = Math.fround((empty ? -1 : low) * shrink);
  const max = Math.fround((empty ? 1 : high) * shrink);
  return { step: Math.fround(Math.fround(max - min) / (levels - 1)), min };
}

/** The value of largest magnitude, with its sign; of equals the first. −1 for an all-zero tile (GPTQ's rule: the range is then −1 … 1). */
function extreme({ rows, cols, data }: Tile): number {
  const count = rows * cols;
  let value = 0;
  let magnitude = 0;
  for (let i = 0; i < count; i++) {
    const x = data[i]!;
    const a = Math.abs(x);
    if (a > magnitude) {
      magnitude = a;
      value = x;
    }
  }
  return Math.fround(value) || -1;
}

function minMax({ rows, cols, data }: Tile): Range {
  const count = rows * cols;
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    const x = data[i]!;
    if (x < min) min = x;
    if (x > max) max = x;
  }
  return { low: Math.fround(min), high: Math.fround(max) };
}
