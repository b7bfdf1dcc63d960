import { absMax } from '../abs-max.js';
import { storableScale } from '../storable-scale.js';
import { tileGrid, tileSize } from '../tile-grid.js';
import type { CodebookSpec, NumericFormat } from '../types.js';
import { halfWays, levelTables } from './level-tables.js';

/** What a tile shares: x̂ = level·scale. */
export interface AbsmaxParams {
  /** The absmax of the tile as it reads back; 0 for a tile of zeros. */
  readonly scale: number;
}

/** A list of 4-bit levels times the absmax of each tile. Float32 operations as bitsandbytes orders them; halves go to the lower level. */
export function absmaxFormat(spec: CodebookSpec, levels: keyof typeof levelTables): NumericFormat<AbsmaxParams> {
  const { granularity, scaleType } = spec;
  const format: NumericFormat<AbsmaxParams> = {
    spec,
    levels: 16,
    tile: (rows, cols) => tileSize(granularity, rows, cols),
    fit(tile, shrink = 1) {
      const absmax = Math.fround(absMax(tile) * Math.fround(shrink));
      return { scale: absmax === 0 ? 0 : storableScale(scaleType, absmax) };
    },
    ...coders[levels],
    affine: { table: levelTables[levels], bases: false, of: ({ scale }) => ({ scale, base: 0 }) },
    storedBits: (rows, cols) => rows * cols * 4 + tileGrid(format, rows, cols).count * (scaleType === 'F32' ? 32 : 16),
  };
  return format;
}

type Coder = Pick<NumericFormat<AbsmaxParams>, 'encode' | 'decode'>;

/** One pair of functions per list, not per format: a solver's call site then sees the same ones for every layer. */
const coders: Readonly<Record<keyof typeof levelTables, Coder>> = {
  nf4: coder(levelTables.nf4),
  'bnb-fp4': coder(levelTables['bnb-fp4']),
};

function coder(levels: Float32Array): Coder {
  const rising = Uint8Array.from([...levels.keys()].sort((a, b) => levels[a]! - levels[b]!)); // of equals the first code
  const half = halfWays(Float32Array.from(rising, (code) => levels[code]!));
  return {
    encode(value, params) {
      const x = Math.fround(value * inverse(params.scale));
      let at = x > half[7]! ? 8 : 0;
      if (x > half[at + 3]!) at += 4;
      if (x > half[at + 1]!) at += 2;
      if (x > half[at]!) at += 1;
      return rising[at]!;
    },
    decode: (code, params) => Math.fround(levels[code]! * params.scale),
  };
}

/** 1 ÷ scale in float32, finite for 0 too. A nested absmax may read back below 0. */
function inverse(scale: number): number {
  return Math.fround(1 / (scale < smallest && scale > -smallest ? smallest : scale));
}

const smallest = Math.fround(1e-38);
