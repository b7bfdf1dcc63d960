import { tileGrid } from '../tile-grid.js';
import type { CodebookSpec, NumericFormat } from '../types.js';
import { type AbsmaxParams, absmaxFormat } from './absmax-format.js';
import { dynamicMap } from './dynamic-map.js';
import { halfWays, type levelTables } from './level-tables.js';

/** An absmax that is quantized in its turn: scale = dynamicMap[code]·blockAbsmax + offset in float32. It may be slightly below 0. */
export interface NestedParams extends AbsmaxParams {
  readonly code: number;
  /** Shared by `nestedBlock` consecutive tiles. */
  readonly blockAbsmax: number;
  /** The mean of the absmaxes; shared by all tiles. */
  readonly offset: number;
}

/** Tiles whose absmaxes share a `blockAbsmax`. */
export const nestedBlock = 256;

/** An absmax format with bitsandbytes' double quantization: absmaxes less their mean, in blocks of 256, by the dynamic 8-bit map. */
export function nestedFormat(spec: CodebookSpec, levels: keyof typeof levelTables): NumericFormat<AbsmaxParams> {
  const plain = absmaxFormat(spec, levels);
  return {
    ...plain,
    roundsUnsettled: true,
    settle: (params) => (params.every(isNested) ? [...params] : nestAbsmaxes(params.map(({ scale }) => scale))),
    storedBits(rows, cols) {
      const tiles = tileGrid(plain, rows, cols).count;
      return rows * cols * 4 + tiles * 8 + Math.ceil(tiles / nestedBlock) * 32 + 32;
    },
  };
}

function isNested(params: AbsmaxParams): params is NestedParams {
  return 'blockAbsmax' in params;
}

/** The absmaxes of a matrix as double quantization stores them. `offset` by default is their mean, rounded to float32 once. */
export function nestAbsmaxes(absmaxes: readonly number[], offset = Math.fround(mean(absmaxes))): NestedParams[] {
  const params: NestedParams[] = [];
  for (let start = 0; start < absmaxes.length; start += nestedBlock) {
    const parts = absmaxes.slice(start, start + nestedBlock).map((absmax) => Math.fround(absmax - offset));
    const blockAbsmax = parts.reduce((largest, x) => Math.max(largest, Math.abs(x)), 0);
    for (const x of parts)
      params.push(nestedParams(blockAbsmax === 0 ? zeroCode : nearestCode(Math.fround(x / blockAbsmax)), blockAbsmax, offset));
  }
  return params;
}

/** Params whose `scale` is what a reader computes. */
export function nestedParams(code: number, blockAbsmax: number, offset: number): NestedParams {
  return { scale: Math.fround(Math.fround(dynamicMap[code]! * blockAbsmax) + offset), code, blockAbsmax, offset };
}

const zeroCode = dynamicMap.indexOf(0);
const half = halfWays(dynamicMap);

/** The nearest entry; bitsandbytes' CPU kernel looks up a table of 65536 places instead, and so may take the other neighbour near a half. */
function nearestCode(x: number): number {
  let [low, high] = [0, half.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x > half[middle]!) low = middle + 1;
    else high = middle;
  }
  return low;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, x) => sum + x, 0) / values.length;
}
