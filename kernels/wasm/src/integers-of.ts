import { findInStrips, type Pausable } from '@fewbit/core';
import {
  createFormat,
  type IntParams,
  type IntSpec,
  intColumns,
  intFormat,
  type NumericFormat,
  type ParamList,
  type QuantizedMatrix,
  tileGrid,
} from '@fewbit/formats';
import { levelsOf } from '@fewbit/kernels';

/** A matrix as whole numbers: x̂ = scale·(level − zero) + base, the level a code or what a table has for it. */
export interface MatrixIntegers {
  /** Bits that hold a code. */
  readonly slot: 2 | 4 | 8;
  /** By code, at most sixteen bytes; else codes are the levels. */
  readonly levels: Uint8Array | undefined;
  /** Of tiles of tileRows × group, `across` of them side by side. */
  readonly group: number;
  readonly tileRows: number;
  readonly across: number;
  readonly scales: Float32Array;
  /** The shortest type that holds every scale. */
  readonly scaleType: IntSpec['scaleType'];
  /** Of each tile, or one for all. */
  readonly zeros: Uint8Array | number;
  /** Of each tile; the zero point is 0 then. */
  readonly bases: Float32Array | undefined;
}

/** Whether the levels of `format` are whole numbers of a byte, times a scale. */
export function isWhole({ spec, affine, levels }: NumericFormat): boolean {
  return spec.kind === 'int' || (affine !== undefined && wholeTable(affine.table.subarray(0, levels), affine.bases) !== undefined);
}

/** `matrix`, of a format that `isWhole`. */
export function* integersOf(matrix: QuantizedMatrix): Pausable<MatrixIntegers> {
  return matrix.spec.kind === 'int' ? ofIntegers(matrix, matrix.spec) : yield* ofLevels(matrix);
}

function ofIntegers({ rows, cols, params }: QuantizedMatrix, spec: IntSpec): MatrixIntegers {
  const { tileRows, tileCols, across } = tileGrid(intFormat(spec), rows, cols);
  const { bits, scaleType } = spec;
  const columns = intColumns(params as ParamList<IntParams>);
  const slot = bits <= 2 ? 2 : bits <= 4 ? 4 : 8;
  return { ...columns, slot, scaleType, tileRows, across, group: Math.min(tileCols, cols), levels: undefined, bases: undefined };
}

function* ofLevels(matrix: QuantizedMatrix): Pausable<MatrixIntegers> {
  const { affine, levels: count } = createFormat(matrix.spec);
  const { by, zero, levels } = wholeTable(affine!.table.subarray(0, count), affine!.bases)!;
  const { span, spans, bases, ...rest } = yield* levelsOf(matrix, (size) => size);
  const scales = rest.scales!.map((scale) => scale / by);
  const slot = levels ? 4 : count <= 4 ? 2 : count <= 16 ? 4 : 8;
  return { slot, levels, group: span, tileRows: 1, across: spans, scales, scaleType: yield* shortestType(scales), zeros: zero, bases };
}

/** A table of levels, `by` times as large and from 0 on: without `levels` where that is the code itself. */
function wholeTable(table: Float32Array, bases: boolean) {
  for (const by of [1, 2]) {
    const wholes = table.map((level) => level * by);
    const least = Math.min(...wholes);
    if (!wholes.every(Number.isInteger) || Math.max(...wholes) - least > 255 || (bases && least !== 0)) continue;
    const counts = wholes.every((whole, code) => whole === least + code);
    if (counts || table.length <= 16)
      return { by, zero: -least, levels: counts ? undefined : Uint8Array.from(wholes, (whole) => whole - least) };
  }
  return undefined;
}

function* shortestType(scales: Float32Array): Pausable<IntSpec['scaleType']> {
  const words = new Uint32Array(scales.buffer, scales.byteOffset, scales.length);
  const without = (fits: (word: number) => boolean) =>
    findInStrips(words.length, (start, end) => words.subarray(start, end).findIndex((word) => !fits(word)));
  if ((yield* without(isBrain)) < 0) return 'BF16';
  return (yield* without(isHalf)) < 0 ? 'F16' : 'F32';
}

/** Whether a float32 is a bfloat16. */
function isBrain(word: number): boolean {
  return (word & 0xffff) === 0;
}

/** Whether a float32 is zero or a normal float16. */
function isHalf(word: number): boolean {
  const exponent = (word >>> 23) & 0xff;
  return (word & 0x7fffffff) === 0 || ((word & 0x1fff) === 0 && exponent >= 113 && exponent <= 142);
}
