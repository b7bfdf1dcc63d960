import { createFormat, type FittedParams, type NumericFormat, type QuantizedMatrix, tileGrid } from '@fewbit/formats';
import { type HostMemory, holdCodes } from '@fewbit/kernels';
import { codingIds, type Engine, type LevelsShape } from './addon.js';
import type { NativeArray } from './native-heap.js';
import type { WeightForm } from './weight-forms.js';

/** Why a matrix cannot lie as native/levels.h has it, or undefined. */
export function rejectsLevels({ spec, rows, cols }: QuantizedMatrix): string | undefined {
  const format = createFormat(spec);
  const grid = tileGrid(format, rows, cols);
  if (grid.flat) return 'runs of elements across rows have no native kernel';
  const span = spanOf(format, grid.tileCols, cols);
  if (span < cols && span % 2 !== 0) return `an odd number of inputs per scale (${span}) has no native kernel`;
  return undefined;
}

/** Codes that index levels, which may be shared but for scale and base or each tile's own. */
export function uploadLevels(engine: Engine, memory: HostMemory<NativeArray>, matrix: QuantizedMatrix) {
  const { rows, cols, codes, params } = matrix;
  const format = createFormat(matrix.spec);
  const { affine } = format;
  const { tileRows, tileCols, across } = tileGrid(format, rows, cols);
  const span = spanOf(format, tileCols, cols);
  const spans = Math.ceil(cols / span);
  const perTile = tileCols / span;
  const bits = format.levels <= 16 ? 4 : 8;
  const size = 2 ** bits;
  const shape: LevelsShape = [rows, cols, span, bits, codingOf(format, bits), !affine, affine?.bases ?? false];

  const tables = new Float32Array((affine ? 1 : rows * spans) * size);
  const scales = affine && new Float32Array(rows * spans);
  const bases = affine?.bases ? new Float32Array(rows * spans) : undefined;
  if (affine) tables.set(affine.table);
  for (let row = 0, at = 0; row < rows; row++) {
    const firstTile = Math.floor(row / tileRows) * across;
    for (let place = 0; place < spans; place++, at++) {
      const tile = params.at(firstTile + Math.floor((place * span) / tileCols))!;
      if (!scales) {
        tables.set((tile as FittedParams).levels, at * size);
        continue;
      }
      const { scale, base } = affine!.of(tile, place % perTile);
      scales[at] = scale;
      if (bases) bases[at] = base;
    }
  }
  const tensor = holdCodes(memory, matrix, engine.levelsBytes(...shape), { kind: 'levels', shape } satisfies WeightForm);
  engine.packLevels(codes, scales, bases, tables, tensor.data, ...shape);
  return tensor;
}

/** Inputs that share a scale. */
function spanOf({ affine }: NumericFormat, tileCols: number, cols: number): number {
  return affine?.span ?? Math.min(tileCols, cols);
}

function codingOf({ spec, affine }: NumericFormat, bits: 4 | 8): number {
  if (bits === 4) return codingIds.nibbles;
  if (spec.kind === 'float' && spec.element !== 'e2m1') return codingIds[spec.element];
  const isCounting = affine?.table.every((level, code) => level === affine.table[0]! + code);
  return isCounting ? codingIds.integers : codingIds.bytes;
}
