/**
 * Integers under two levels of scales: SpQR (Dettmers et al. 2023, arXiv 2306.03078), section 4.3, "bilevel quantization". Its zero points are not
 * rounded to codes, but stored as its scales are: 3 + 3 bits for 16 weights, and 4 halves for 16 rows of them.
 */
import { roundHalfEven } from '@fewbit/core';
import { rangeWithZero } from '../int/int-format.js';
import { storableScale } from '../storable-scale.js';
import { type TileGrid, tileGrid, tileSize } from '../tile-grid.js';
import type { NumericFormat, Tile, TwoLevelSpec } from '../types.js';

/** What a tile shares: x̂ = scale·code + base. Settled ones, of a whole matrix, also have what is stored of them. */
export interface TwoLevelParams {
  /** Positive. */
  readonly scale: number;
  /** The code, not rounded, that stands for 0. */
  readonly zero: number;
  /** −scale·zero in float32. */
  readonly base: number;
  readonly stored?: StoredScale;
}

export interface StoredScale {
  readonly scaleCode: number;
  readonly zeroCode: number;
  readonly shared: SharedScales;
}

/** What the tiles of one group in `scaleRows` rows share: scale = step·code + least, and the zero point likewise. Exact in the spec's `scaleType`. */
export interface SharedScales {
  /** Positive; its step is 0 or more. */
  readonly leastScale: number;
  readonly scaleStep: number;
  readonly leastZero: number;
  readonly zeroStep: number;
}

/** Integers under two levels of scales, as `spec` says. The spec is trusted: `createFormat` checks it. */
export function twoLevelFormat(spec: TwoLevelSpec): NumericFormat<TwoLevelParams> {
  const { bits, granularity, scaleBits, scaleRows, scaleType } = spec;
  const levels = 2 ** bits;
  const top = levels - 1;
  const fits = (tile: Tile) => {
    const range = rangeWithZero.rangeOf(tile);
    if (range.low === range.high) return () => params(emptyScale, 0);
    return (shrink: number): TwoLevelParams => {
      const { step, min } = rangeWithZero.gridOf(range, levels, Math.fround(shrink));
      const scale = storableScale('F32', step);
      return params(scale, Math.fround(-min / scale));
    };
  };
  const format: NumericFormat<TwoLevelParams> = {
    spec,
    levels,
    tile: (rows, cols) => tileSize(granularity, rows, cols),
    fit: (tile, shrink = 1) => fits(tile)(shrink),
    fits,
    settle: (fitted, grid) => (fitted.every(({ stored }) => stored) ? [...fitted] : settle(fitted, grid, spec)),
    affine: { table: Float32Array.from({ length: levels }, (_, code) => code), bases: true, of: ({ scale, base }) => ({ scale, base }) },
    encode(value, { scale, base }) {
      const code = (value - base) / scale + halfEven - halfEven;
      // biome-ignore lint/complexity/useMathMinMax: as in int-format.ts
      return (code < 0 ? 0 : code > top ? top : code) | 0;
    },
    decode,
    storedBits(rows, cols) {
      const { count, across } = tileGrid(format, rows, cols);
      const shared = Math.ceil(rows / scaleRows) * across;
      return rows * cols * bits + count * 2 * scaleBits + shared * 4 * (scaleType === 'F32' ? 32 : 16);
    },
  };
  return format;
}

/** Added and taken away, it rounds a double below 2^51 to the nearest integer, halves to even. */
const halfEven = 1.5 * 2 ** 52;

/** Of a tile of zeros, which has no say in what it shares with others. */
const emptyScale = storableScale('F32', 0);

function params(scale: number, zero: number, stored?: StoredScale): TwoLevelParams {
  return { scale, zero, base: Math.fround(-zero * scale), ...(stored && { stored }) };
}

/** Params as they read back from their codes. */
export function storedParams(stored: StoredScale): TwoLevelParams {
  const { leastScale, scaleStep, leastZero, zeroStep } = stored.shared;
  const scale = Math.fround(Math.fround(scaleStep * stored.scaleCode) + leastScale);
  return params(scale, Math.fround(Math.fround(zeroStep * stored.zeroCode) + leastZero), stored);
}

function decode(code: number, { scale, base }: TwoLevelParams): number {
  return Math.fround(Math.fround(code * scale) + base);
}

/** Scales and zero points of each group in `scaleRows` rows at a time, rounded to the integers that are stored. */
function settle(
  fitted: readonly TwoLevelParams[],
  { down, across }: TileGrid,
  { scaleBits, scaleRows, scaleType }: TwoLevelSpec,
): TwoLevelParams[] {
  const settled = new Array<TwoLevelParams>(fitted.length);
  const top = 2 ** scaleBits - 1;
  for (let first = 0; first < down; first += scaleRows) {
    const last = Math.min(first + scaleRows, down);
    for (let group = 0; group < across; group++) {
      const members = Array.from({ length: last - first }, (_, i) => (first + i) * across + group);
      const ranged = members.filter((tile) => fitted[tile]!.scale > emptyScale);
      const said = (ranged.length > 0 ? ranged : members).map((tile) => fitted[tile]!);
      const scales = rangeOf(said, 'scale', top, scaleType);
      const zeros = rangeOf(said, 'zero', top, scaleType);
      const shared = {
        ...{ leastScale: storableScale(scaleType, scales.least), scaleStep: scales.step },
        ...{ leastZero: zeros.least === 0 ? 0 : storableScale(scaleType, zeros.least), zeroStep: zeros.step },
      };
      for (const tile of members) {
        const scaleCode = nearest(fitted[tile]!.scale, shared.leastScale, shared.scaleStep, top);
        const zeroCode = nearest(fitted[tile]!.zero, shared.leastZero, shared.zeroStep, top);
        settled[tile] = storedParams({ scaleCode, zeroCode, shared });
      }
    }
  }
  return settled;
}

/** The least of a number in `params`, and the step from it to the greatest as `type` stores it; 0 where they are alike. */
function rangeOf(
  params: readonly TwoLevelParams[],
  of: 'scale' | 'zero',
  top: number,
  type: TwoLevelSpec['scaleType'],
): { least: number; step: number } {
  const values = params.map((each) => each[of]);
  const least = Math.min(...values);
  const step = (Math.max(...values) - least) / top;
  return { least, step: step === 0 ? 0 : storableScale(type, step) };
}

function nearest(value: number, least: number, step: number, top: number): number {
  return step === 0 ? 0 : Math.max(0, Math.min(top, roundHalfEven((value - least) / step))) + 0;
}
