import { fromE4m3, toE4m3 } from '@fewbit/core';
import { absMax } from '../abs-max.js';
import { bestParams } from '../best-params.js';
import { tileGrid, tileSize } from '../tile-grid.js';
import type { FloatSpec, NumericFormat, Tile } from '../types.js';
import { elementLevels, elements, type FloatParams } from './elements.js';

/** What a tile of NVFP4 shares: scale = block ÷ divisor in float32. */
export interface NvParams extends FloatParams {
  /** The tile's own scale: a positive E4M3 number. */
  readonly block: number;
  /** The tensor's: compressed-tensors' `weight_global_scale`, the reciprocal of ModelOpt's `weight_scale_2`; the same in all tiles of a matrix. */
  readonly divisor: number;
}

/**
 * Floats under E4M3 scales under one float32 scale for the tensor (NVIDIA's NVFP4). Float32 operations as compressed-tensors orders them:
 * divisor = 448·largest ÷ absmax of the tensor, block = E4M3(divisor·(absmax of the tile ÷ largest)).
 * `bind` takes the divisor from all matrices that share it; an unbound format takes each tile for a matrix of its own.
 */
export function nvFormat(spec: FloatSpec): NumericFormat<NvParams> {
  return boundTo(undefined);

  function boundTo(given: number | undefined): NumericFormat<NvParams> {
    const { bits, largest, encode, decode, round } = elements[spec.element];
    const divisorOf = (tile: Tile) => given ?? tensorDivisor(absMax(tile), largest);
    const format: NumericFormat<NvParams> = {
      spec,
      levels: 2 ** bits,
      tile: (rows, cols) => tileSize(spec.granularity, rows, cols),
      ...(given === undefined && {
        bind: (...weights) => boundTo(tensorDivisor(Math.max(...weights.map(absMax)), largest)),
        bindLike: ({ divisor }) => boundTo(divisor),
      }),
      fit(tile, shrink = 1) {
        const divisor = divisorOf(tile);
        const step = Math.fround(Math.fround(absMax(tile) * Math.fround(shrink)) / largest);
        return nvParams(fromE4m3(toE4m3(Math.fround(divisor * step))) || zeroBlock, divisor);
      },
      search(tile, importance) {
        const fitted = format.fit(tile);
        return bestParams(format, tile, outward(fitted), { importance });
      },
      encode,
      decode,
      round,
      affine: { ...elementLevels(elements[spec.element]), divisor: ({ divisor }) => divisor },
      storedBits: (rows, cols) => rows * cols * bits + tileGrid(format, rows, cols).count * 8 + 32,
    };
    return format;
  }
}

/** Params whose `scale` is what a reader of compressed-tensors computes. */
export function nvParams(block: number, divisor: number): NvParams {
  return { scale: Math.fround(block / divisor), block, divisor };
}

/** All scales that E4M3 has, `fitted` first and then those ever further from it. */
function* outward(fitted: NvParams): Generator<NvParams> {
  const code = toE4m3(fitted.block);
  yield fitted;
  for (let step = 1; step < largestCode; step++) {
    if (code - step >= 1) yield nvParams(fromE4m3(code - step), fitted.divisor);
    if (code + step <= largestCode) yield nvParams(fromE4m3(code + step), fitted.divisor);
  }
}

/** Of the finite E4M3 numbers the largest's byte: 448. */
const largestCode = 0x7e;

/** What compressed-tensors puts in the place of a block scale of 0. */
const zeroBlock = 0.125;

/** 1 where the quotient is no float32: nothing is left to scale then. */
function tensorDivisor(bound: number, largest: number): number {
  const divisor = Math.fround((448 * largest) / Math.max(bound, smallestNormal));
  return Number.isFinite(divisor) ? divisor : 1;
}

const smallestNormal = 2 ** -126;
