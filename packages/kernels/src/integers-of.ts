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
import { levelsOf } from './levels-of.js';

/** A matrix as whole numbers: x̂ = scale·(level − zero) + base, the level a code or what a table has for it. */
export interface MatrixIntegers {
  /** Of a code. */
  readonly bits: IntSpec['bits'];
  /** By code, at most sixteen bytes; else codes are the levels. */
  readonly levels: Uint8Array | undefined;
  /** Of tiles of tileRows × group, `across` of them side by side. */
  readonly group: number;
  readonly tileRows: number;
  readonly across: number;
  readonly scales: Float32Array;
  /** The shortest type of floats that holds every scale. */
  readonly scaleType: IntSpec['scaleType'];
  /** Where each scale may be a number of E4M3 over one divisor, that divisor. */
  readonly divisor: number | undefined;
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
  const none = { levels: undefined, bases: undefined, divisor: undefined };
  return { ...columns, ...none, bits, scaleType, tileRows, across, group: Math.min(tileCols, cols) };
}

function* ofLevels(matrix: QuantizedMatrix): Pausable<MatrixIntegers> {
  const { affine, levels: count } = createFormat(matrix.spec);
  const { by, zero, levels } = wholeTable(affine!.table.subarray(0, count), affine!.bases)!;
  const { span, spans, bases, ...rest } = yield* levelsOf(matrix, (size) => size);
  const scales = rest.scales!.map((scale) => scale / by);
  const bits = levels ? 4 : (Math.max(2, Math.ceil(Math.log2(count))) as IntSpec['bits']);
  const divisor = affine!.divisor && affine!.divisor(matrix.params.at(0)) * by;
  const scaleType = yield* shortestType(scales);
  return { bits, levels, group: span, tileRows: 1, across: spans, scales, scaleType, divisor, zeros: zero, bases };
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

/** The shortest type of floats that holds each of `scales` exactly. */
export function* shortestType(scales: Float32Array): Pausable<IntSpec['scaleType']> {
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
