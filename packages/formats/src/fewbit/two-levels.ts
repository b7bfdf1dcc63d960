import { FewbitError, fromFloat32, fromIntegers, roundTo, toFloat32 } from '@fewbit/core';
import { packedWords, packRows, unpackRows } from '../bit-stream.js';
import { expectTensor, wordsOf } from '../expect-tensor.js';
import { type ParamList, paramList } from '../param-list.js';
import type { TileGrid } from '../tile-grid.js';
import { type SharedScales, type StoredScale, storedParams, type TwoLevelParams } from '../two-level/two-level-format.js';
import type { TwoLevelSpec } from '../types.js';
import type { ParamTensors } from './params.js';

const [scaleName, zeroName, stepName] = ['weight_scale_codes', 'weight_zero_codes', 'weight_scale_steps'] as const;

/** How two-level scales are stored: their codes as bit streams, and what tiles share. */
export function twoLevels({ scaleBits, scaleRows, scaleType }: TwoLevelSpec): ParamTensors {
  const sharing = ({ down, across }: TileGrid) => Math.ceil(down / scaleRows) * across;
  /** Which shared scales tile number `tile` has. */
  const placeOf = (tile: number, across: number) => Math.floor(tile / across / scaleRows) * across + (tile % across);
  return {
    pack(params, grid) {
      const stored = [...(params as ParamList<TwoLevelParams>)].map(requireStored);
      const stream = (codes: readonly number[]) =>
        fromIntegers(packRows(Uint8Array.from(codes), 1, grid.count, scaleBits), [packedWords(grid.count, scaleBits)]);
      const shared = new Float32Array(4 * sharing(grid));
      for (const [tile, { shared: of }] of stored.entries()) shared.set(fields(of), 4 * placeOf(tile, grid.across));
      const bad = shared.find((value) => !Number.isFinite(value) || roundTo(scaleType, value) !== value);
      if (bad !== undefined) throw new FewbitError('usage', `A step of scales of ${bad} is no finite ${scaleType}.`);
      return new Map([
        [scaleName, stream(stored.map(({ scaleCode }) => scaleCode))],
        [zeroName, stream(stored.map(({ zeroCode }) => zeroCode))],
        [stepName, fromFloat32(shared, scaleType, [shared.length / 4, 4])],
      ]);
    },
    *unpack(tensors, grid) {
      const stream = (name: string) =>
        unpackRows(wordsOf(expectTensor(tensors, name, ['I32'], [packedWords(grid.count, scaleBits)])), 1, grid.count, scaleBits);
      const [scaleCodes, zeroCodes] = [yield* stream(scaleName), yield* stream(zeroName)];
      const values = toFloat32(expectTensor(tensors, stepName, [scaleType], [sharing(grid), 4]));
      const bad = values.findIndex((value, i) => !(Number.isFinite(value) && (i % 4 === 0 ? value > 0 : i % 4 === 2 || value >= 0)));
      if (bad !== -1) {
        const expected = ['a least scale above 0', 'a step of at least 0', 'a finite zero point', 'a step of at least 0'][bad % 4];
        throw new FewbitError('checkpoint', `Tensor ${stepName} holds ${values[bad]} at ${bad}: expected ${expected}.`);
      }
      return paramList(grid.count, (tile) => {
        const at = 4 * placeOf(tile, grid.across);
        const [leastScale, scaleStep, leastZero, zeroStep] = values.subarray(at, at + 4) as unknown as [number, number, number, number];
        const shared = { leastScale, scaleStep, leastZero, zeroStep };
        return storedParams({ scaleCode: scaleCodes[tile]!, zeroCode: zeroCodes[tile]!, shared });
      });
    },
  };
}

function fields({ leastScale, scaleStep, leastZero, zeroStep }: SharedScales): number[] {
  return [leastScale, scaleStep, leastZero, zeroStep];
}

function requireStored({ scale, stored }: TwoLevelParams): StoredScale {
  if (stored) return stored;
  throw new FewbitError('usage', `A scale of ${scale} has no codes yet: two-level params are settled before they are stored.`);
}
