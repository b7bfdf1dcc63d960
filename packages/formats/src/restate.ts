import { roundTo } from '@fewbit/core';
import { createFormat } from './create-format.js';
import type { FloatParams } from './float/elements.js';
import { formatName } from './format-name.js';
import type { GgmlTypeName } from './ggml/ggml-types.js';
import { type BlockParams, storedBlock } from './ggml/simple-format.js';
import { type IntParams, isSymmetric } from './int/int-format.js';
import { scalesOf, zerosOf } from './int-matrix.js';
import { type ParamList, paramList } from './param-list.js';
import { refusalOf } from './sparse-matrix.js';
import { tileGrid } from './tile-grid.js';
import type { FloatSpec, FormatSpec, GgmlSpec, IntSpec, Layout, QuantizedMatrix } from './types.js';

/**
 * The same matrix as `layout` can hold it: under another spec where its own is refused, with the same values to the last bit.
 * Integers get scales of type `preferred` where it holds them exactly. Undefined where no spec of the layout is known that has them.
 */
export function restateFor(layout: Layout, matrix: QuantizedMatrix, preferred?: IntSpec['scaleType']): QuantizedMatrix | undefined {
  const { rows, cols } = matrix;
  for (const spec of candidates(matrix.spec, cols, preferred)) {
    const same = layout.rejects(spec, rows, cols) === undefined ? restated(matrix, spec) : undefined;
    if (same && refusalOf(layout, same) === undefined) return same;
  }
  return undefined;
}

/** The spec that `restateFor` gives a rows × cols matrix whose values have a place in it; undefined where none has. */
export function restatedSpec(
  layout: Layout,
  { spec, rows, cols }: Pick<QuantizedMatrix, 'spec' | 'rows' | 'cols'>,
  preferred?: IntSpec['scaleType'],
): FormatSpec | undefined {
  return [...candidates(spec, cols, preferred)].find((candidate) => layout.rejects(candidate, rows, cols) === undefined);
}

/** Specs that may have the same values, the first ones preferred. */
function* candidates(spec: FormatSpec, cols: number, preferred: IntSpec['scaleType'] | undefined): Generator<FormatSpec> {
  const twin = microscaledTwin(spec, cols);
  const integers = twin ? undefined : integersOf(spec);
  if (integers && preferred) yield { ...integers, scaleType: preferred };
  yield spec;
  if (twin) yield twin;
  if (!integers) return;
  const types = scaleTypes.toSorted((a, b) => Number(b === preferred) - Number(a === preferred));
  for (const scaleType of types) yield { ...integers, scaleType };
  if (!isSymmetric(integers.scheme)) for (const scaleType of types) yield { ...integers, scheme: 'symmetric-full', scaleType };
  const type = ggmlTypeOf(integers, cols);
  if (type) yield { kind: 'ggml', type };
}

/** `matrix` under one of its candidates, where that holds the values of this one. */
function restated(matrix: QuantizedMatrix, spec: FormatSpec): QuantizedMatrix | undefined {
  if (spec === matrix.spec) return matrix;
  if (microscaledTwin(matrix.spec, matrix.cols)) return microscaled(matrix, spec);
  const integers = toIntegers(matrix);
  if (!integers) return undefined;
  if (spec.kind === 'ggml') return toGgml(integers, spec);
  if (spec.kind !== 'int') return undefined;
  if (scalesOf(integers.params).some((scale) => roundTo(spec.scaleType, scale) !== scale)) return undefined;
  const symmetric = isSymmetric(spec.scheme) && !isSymmetric(integers.spec.scheme);
  if (symmetric && zerosOf(integers.params).some((zero) => zero !== 2 ** (spec.bits - 1))) return undefined;
  return { ...integers, spec };
}

type IntMatrix = QuantizedMatrix<IntParams, IntSpec>;

const scaleTypes = ['F16', 'BF16', 'F32'] as const;

/** MXFP4 is the same numbers by the same codes as a format of floats and as a type of ggml: the other of the two. */
function microscaledTwin(spec: FormatSpec, cols: number): FormatSpec | undefined {
  if (spec.kind === 'ggml' && spec.type === 'mxfp4') return mxfp4;
  return formatName(spec) === formatName(mxfp4) && cols % block === 0 ? { kind: 'ggml', type: 'mxfp4' } : undefined;
}

function microscaled(matrix: QuantizedMatrix, spec: FormatSpec): QuantizedMatrix {
  if (spec.kind === 'ggml') {
    const groups = matrix.params as ParamList<FloatParams>;
    return { ...matrix, spec, params: paramList(groups.length, (i) => storedBlock(groups.at(i)!.scale, 0)) };
  }
  const blocks = matrix.params as ParamList<BlockParams>;
  return { ...matrix, spec, params: paramList<FloatParams>(blocks.length, (i) => ({ scale: blocks.at(i)!.d })) };
}

/** Plain integers under plain scales, of that format or of a type of ggml. */
function integersOf(spec: FormatSpec): IntSpec | undefined {
  if (spec.kind === 'int') return spec.scheme === 'symmetric-absmax' ? undefined : spec;
  const bits = spec.kind === 'ggml' ? bitsOf[spec.type] : undefined;
  return bits && { kind: 'int', bits, scheme: 'symmetric-signed', granularity: { kind: 'group', size: block }, scaleType: 'F16' };
}

function toIntegers(matrix: QuantizedMatrix): IntMatrix | undefined {
  const spec = integersOf(matrix.spec);
  if (!spec) return undefined;
  if (matrix.spec.kind === 'int') return { ...matrix, spec } as IntMatrix;
  const zero = 2 ** (spec.bits - 1);
  return { ...matrix, spec, params: Array.from(matrix.params as ParamList<BlockParams>, ({ d }) => ({ scale: d, zero })) };
}

/** Symmetric int4, int5 and int8 whose groups are made of whole blocks of 32 are Q4_0, Q5_0 and Q8_0, where scales are half floats. */
function ggmlTypeOf({ bits, scheme, granularity }: IntSpec, cols: number): GgmlTypeName | undefined {
  const size = granularity.kind === 'group' ? granularity.size : granularity.kind === 'channel' ? cols : 0;
  return isSymmetric(scheme) && size > 0 && cols % block === 0 && size % block === 0 ? ggmlOf[bits] : undefined;
}

function toGgml(
  { rows, cols, spec: { granularity, ...spec }, codes, params, columnGroup, outliers }: IntMatrix,
  target: GgmlSpec,
): QuantizedMatrix<BlockParams, GgmlSpec> | undefined {
  if (columnGroup || outliers || scalesOf(params).some((scale) => roundTo('F16', scale) !== scale)) return undefined;
  const { across } = tileGrid(createFormat({ ...spec, granularity }), rows, cols);
  const size = granularity.kind === 'group' ? granularity.size : cols;
  const blocksAcross = cols / block;
  const blocks = Array.from({ length: rows * blocksAcross }, (_, i) => {
    const [row, place] = [Math.floor(i / blocksAcross), i % blocksAcross];
    return storedBlock(params.at(row * across + Math.floor((place * block) / size))!.scale, 0);
  });
  return { rows, cols, spec: target, codes, params: blocks };
}

const block = 32;
const ggmlOf: Readonly<Partial<Record<IntSpec['bits'], GgmlTypeName>>> = { 4: 'q4_0', 5: 'q5_0', 8: 'q8_0' };
const bitsOf: Readonly<Partial<Record<GgmlTypeName, IntSpec['bits']>>> = { q4_0: 4, q5_0: 5, q8_0: 8 };
const mxfp4: FloatSpec = { kind: 'float', element: 'e2m1', granularity: { kind: 'group', size: block }, scaleType: 'E8M0' };
