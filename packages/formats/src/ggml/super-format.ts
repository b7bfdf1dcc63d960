/** The ggml types whose sub-blocks have integer scales (and minima) under one or two f16 numbers of the block. */
import type { NumericFormat } from '../types.js';
import type { SuperType } from './ggml-types.js';
import { levelTable, nearestPlace, sortedLevels } from './nearest-level.js';
import { searchSuper } from './search-super.js';

/** What one block of 256 shares: x̂ = d·scales[j]·level − dmin·mins[j] in sub-block j. */
export interface SuperParams {
  /** Exact in f16. */
  readonly d: number;
  /** Exact in f16; 0 where the type has no minima. */
  readonly dmin: number;
  readonly scales: Int8Array;
  /** All 0 where the type has no minima. */
  readonly mins: Uint8Array;
}

const f32 = Math.fround;

/** `fit` is the search with all weights alike: there is no simpler rule for these types. */
export function superFormat(
  type: SuperType,
): Pick<NumericFormat<SuperParams>, 'levels' | 'fit' | 'search' | 'affine' | 'encode' | 'decode'> {
  const levels = levelTable(type);
  const { sub } = type;
  const search = searchSuper(type);
  return {
    levels: levels.length,
    fit: (tile, shrink = 1) => narrowed(search(tile), shrink),
    search,
    affine: {
      table: Float32Array.from(levels),
      span: sub,
      bases: type.dmin !== undefined,
      of: ({ d, dmin, scales, mins }, span) => ({ scale: f32(d * scales[span]!), base: -f32(dmin * mins[span]!) }),
      steps: ({ d, dmin }) => ({ scale: d, base: -dmin }),
    },
    encode: encoderOf(type),
    decode(code, { d, dmin, scales, mins }, offset) {
      const j = (offset / sub) | 0;
      return f32(f32(f32(d * scales[j]!) * levels[code]!) - f32(dmin * mins[j]!));
    },
  };
}

function narrowed(params: SuperParams, shrink: number): SuperParams {
  return shrink === 1 ? params : { ...params, d: params.d * shrink, dmin: params.dmin * shrink };
}

function encoderOf({ sub, levels }: SuperType): NumericFormat<SuperParams>['encode'] {
  if ('table' in levels) {
    const sorted = sortedLevels(levels.table);
    return (value, { d, scales }, offset) => {
      const step = d * scales[(offset / sub) | 0]!;
      return sorted.codes[nearestPlace(sorted, step === 0 ? 0 : value / step)]!;
    };
  }
  const { zero, top } = levels;
  return (value, { d, dmin, scales, mins }, offset) => {
    const j = (offset / sub) | 0;
    const step = d * scales[j]!;
    if (step === 0) return zero;
    const code = (value + dmin * mins[j]!) / step + zero + 0.5;
    // biome-ignore lint/complexity/useMathMinMax: a hot path
    return (code < 0 ? 0 : code > top ? top : code) | 0;
  };
}
