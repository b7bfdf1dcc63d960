import { findInStrips, inStrips, type Pausable } from '@fewbit/core';
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
  /** Where scales and bases may be whole numbers of a byte under steps in f16, those steps. */
  readonly steps: (() => Pausable<MatrixSteps>) | undefined;
  /** Of each tile, or one for all. */
  readonly zeros: Uint8Array | number;
  /** Of each tile; the zero point is 0 then. */
  readonly bases: Float32Array | undefined;
}

/** Steps under the scales of a matrix, and under its bases where it has some: [rows][one for every `inputs` inputs], where both, in turns. */
export interface MatrixSteps {
  readonly inputs: number;
  readonly values: Float32Array;
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
  const none = { levels: undefined, bases: undefined, divisor: undefined, steps: undefined };
  return { ...columns, ...none, bits, scaleType, tileRows, across, group: Math.min(tileCols, cols) };
}

function* ofLevels(matrix: QuantizedMatrix): Pausable<MatrixIntegers> {
  const { affine, levels: count } = createFormat(matrix.spec);
  const { by, zero, levels } = wholeTable(affine!.table.subarray(0, count), affine!.bases)!;
  const steps = affine!.steps && (() => stepsOf(matrix, by));
  const { span, spans, bases, ...rest } = yield* levelsOf(matrix, (size) => size);
  const scales = rest.scales!.map((scale) => scale / by);
  const bits = levels ? 4 : (Math.max(2, Math.ceil(Math.log2(count))) as IntSpec['bits']);
  const divisor = affine!.divisor && affine!.divisor(matrix.params.at(0)) * by;
  const scaleType = yield* shortestType(scales);
  return { bits, levels, group: span, tileRows: 1, across: spans, scales, scaleType, divisor, steps, zeros: zero, bases };
}

/** Of a format with steps, whose tiles are of one row. */
function* stepsOf({ spec, rows, cols, params }: QuantizedMatrix, by: number): Pausable<MatrixSteps> {
  const format = createFormat(spec);
  const { bases, steps } = format.affine!;
  const kinds = bases ? 2 : 1;
  const values = new Float32Array(params.length * kinds);
  yield* inStrips(params.length, stepCost, (first, end) => {
    for (let tile = first; tile < end; tile++) {
      const { scale, base } = steps!(params.at(tile)!);
      values[tile * kinds] = scale / by;
      if (bases) values[tile * kinds + 1] = base;
    }
  });
  return { inputs: tileGrid(format, rows, cols).tileCols, values };
}

/** To ask a tile for its steps takes as long as a few of the usual values of a strip. */
const stepCost = 8;

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

/** Whether a float32 is a finite float16; below 2⁻¹⁴ those lie 2⁻²⁴ apart. */
function isHalf(word: number): boolean {
  const exponent = (word >>> 23) & 0xff;
  const spare = exponent >= 113 ? 13 : 126 - exponent;
  return (word & 0x7fffffff) === 0 || (exponent >= 103 && exponent <= 142 && (word & ((1 << spare) - 1)) === 0);
}
