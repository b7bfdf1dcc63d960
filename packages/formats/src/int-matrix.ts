import {
  FewbitError,
  findInStrips,
  firstNonFinite,
  fromFloat32,
  type Pausable,
  roundTo,
  type Tensor,
  toFloat32InStrips,
} from '@fewbit/core';
import { expectTensor, wordsOf } from './expect-tensor.js';
import { formatName } from './format-name.js';
import { type IntParams, intFormat, isSymmetric } from './int/int-format.js';
import { type ParamList, paramList } from './param-list.js';
import { type TileGrid, tileGrid } from './tile-grid.js';
import type { FormatSpec, IntSpec, QuantizedMatrix } from './types.js';

/** True for integers that a scale multiplies: `symmetric-absmax` has none to store. */
export function isScaledInt(spec: FormatSpec): spec is IntSpec {
  return spec.kind === 'int' && spec.scheme !== 'symmetric-absmax';
}

/** `spec`, where it is an integer one. Throws `unsupported` where it is not. */
export function integersOnly(spec: FormatSpec, layout: string): IntSpec {
  if (isScaledInt(spec)) return spec;
  throw new FewbitError('unsupported', notInteger(spec, layout));
}

export function notInteger(spec: FormatSpec, layout: string): string {
  return `${layout} checkpoints hold scaled integers, not ${formatName(spec)}.`;
}

export type IntMatrix = QuantizedMatrix<IntParams, IntSpec>;

/** `matrix` with its params as integers'. Throws `usage` where codes, params or columns are not what its spec says, so that no damaged file is written. */
export function checkMatrix(matrix: QuantizedMatrix<unknown, IntSpec>): IntMatrix {
  const { rows, cols, spec, codes, columnGroup } = matrix;
  const grid = gridOf(spec, rows, cols);
  const params = matrix.params as ParamList<IntParams>;
  const expect = (held: boolean, message: string) => {
    if (!held) throw new FewbitError('usage', `A quantized ${rows} × ${cols} matrix ${message}.`);
  };
  expect(codes.length === rows * cols, `needs ${rows * cols} codes, got ${codes.length}`);
  expect(params.length === grid.count, `has ${grid.count} tiles, got ${params.length} params`);
  const levels = 2 ** spec.bits;
  const high = codes.findIndex((code) => code >= levels);
  expect(high === -1, `of ${spec.bits} bits holds code ${codes[high]} at ${high}`);
  for (const { scale, zero } of params) {
    expect(Number.isFinite(scale) && roundTo(spec.scaleType, scale) === scale, `has scale ${scale}, which is no finite ${spec.scaleType}`);
    const fits = isSymmetric(spec.scheme) ? zero === levels / 2 : Number.isInteger(zero) && zero >= 0 && zero < levels;
    expect(fits, `of ${spec.bits} bits, ${spec.scheme}, has zero point ${zero}`);
  }
  if (columnGroup) {
    expect(spec.granularity.kind === 'group', `with ${spec.granularity.kind} granularity cannot have a columnGroup`);
    expect(columnGroup.length === cols, `needs ${cols} column groups, got ${columnGroup.length}`);
    expect(
      columnGroup.every((group) => group < grid.across),
      `has ${grid.across} groups, but columnGroup names one beyond`,
    );
  }
  return { ...matrix, params };
}

export function gridOf(spec: IntSpec, rows: number, cols: number): TileGrid {
  return tileGrid(intFormat(spec), rows, cols);
}

/** Params by columns: `zeros` are one per scale, or one for all. */
export interface IntColumns {
  readonly scales: Float32Array;
  readonly zeros: Uint8Array | number;
}

/** A list of params that knows the columns that it was made of. */
interface IntColumnList extends ParamList<IntParams> {
  readonly columns: IntColumns;
}

/** One entry per scale; `zeros` are one per scale, or one for all. */
export function intParams(scales: Float32Array, zeros: Uint8Array | number): IntColumnList {
  const entries = paramList(scales.length, (i) => ({ scale: scales[i]!, zero: typeof zeros === 'number' ? zeros : zeros[i]! }));
  return { ...entries, columns: { scales, zeros } };
}

/**
 * The columns of a list of params, `zeros` a number where all are the same. Of a matrix that was read from a file no entry is made: millions of them would be tens of
 * megabytes of garbage at a time.
 */
export function intColumns(params: ParamList<IntParams>): IntColumns {
  const { scales, zeros } = 'columns' in params ? (params as IntColumnList).columns : { scales: scalesOf(params), zeros: zerosOf(params) };
  if (typeof zeros === 'number') return { scales, zeros };
  const first = zeros[0] ?? 0;
  return { scales, zeros: zeros.every((zero) => zero === first) ? first : zeros };
}

export function scalesOf(params: ParamList<{ readonly scale: number }>): Float32Array {
  const scales = new Float32Array(params.length);
  for (let i = 0; i < scales.length; i++) scales[i] = params.at(i)!.scale;
  return scales;
}

export function zerosOf(params: ParamList<IntParams>): Uint8Array {
  const zeros = new Uint8Array(params.length);
  for (let i = 0; i < zeros.length; i++) zeros[i] = params.at(i)!.zero;
  return zeros;
}

export function packScales(params: ParamList<IntParams>, type: IntSpec['scaleType'], shape: readonly number[]): Tensor {
  return fromFloat32(scalesOf(params), type, shape);
}

/** The scales called `name`, and the spec with the type that they are stored in. */
export function* unpackScales(
  tensors: ReadonlyMap<string, Tensor>,
  name: string,
  spec: IntSpec,
  shape: readonly number[],
): Pausable<{ scales: Float32Array; stored: IntSpec }> {
  const tensor = expectTensor(tensors, name, ['F32', 'F16', 'BF16'], shape);
  const scales = yield* toFloat32InStrips(tensor);
  const bad = yield* findInStrips(scales.length, (start, end) => firstNonFinite(scales.subarray(start, end)));
  if (bad !== -1) throw new FewbitError('checkpoint', `Tensor ${name} holds ${scales[bad]} at ${bad}: expected finite numbers.`);
  return { scales, stored: { ...spec, scaleType: tensor.dtype } };
}

/** The group of each column, from the table called `name`. */
export function unpackColumnGroup(tensors: ReadonlyMap<string, Tensor>, name: string, cols: number, groups: number): Uint32Array {
  const columnGroup = wordsOf(expectTensor(tensors, name, ['I32'], [cols])).slice();
  const bad = columnGroup.findIndex((group) => group >= groups);
  if (bad !== -1) {
    throw new FewbitError('checkpoint', `Tensor ${name} holds ${columnGroup[bad]! | 0} at ${bad}: expected 0 … ${groups - 1}.`);
  }
  return columnGroup;
}
