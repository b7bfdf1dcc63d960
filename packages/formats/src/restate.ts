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
import type { FloatSpec, GgmlSpec, IntSpec, Layout, QuantizedMatrix } from './types.js';

/**
 * The same matrix as `layout` can hold it: under another spec where its own is refused, with the same values to the last bit.
 * Integers get scales of type `preferred` where it holds them exactly. Undefined where no spec of the layout is known that has them.
 */
export function restateFor(layout: Layout, matrix: QuantizedMatrix, preferred?: IntSpec['scaleType']): QuantizedMatrix | undefined {
  for (const candidate of restatements(matrix, preferred)) {
    if (refusalOf(layout, candidate) === undefined) return candidate;
  }
  return undefined;
}

function* restatements(matrix: QuantizedMatrix, preferred: IntSpec['scaleType'] | undefined): Generator<QuantizedMatrix> {
  const { spec } = matrix;
  const micro = microscaled(matrix);
  if (micro) {
    yield matrix;
    yield micro;
    return;
  }
  const integers =
    spec.kind === 'int' ? ({ ...matrix, spec } as IntMatrix) : spec.kind === 'ggml' ? fromGgml({ ...matrix, spec }) : undefined;
  const restated = integers?.spec.scheme === 'symmetric-absmax' ? undefined : integers;
  const types = scaleTypes.toSorted((a, b) => Number(b === preferred) - Number(a === preferred));
  if (restated && preferred) yield* withScaleTypes(restated, [preferred]);
  yield matrix;
  if (!restated) return;
  yield* withScaleTypes(restated, types);
  const middle = 2 ** (restated.spec.bits - 1);
  if (!isSymmetric(restated.spec.scheme)) {
    if (zerosOf(restated.params).every((zero) => zero === middle)) {
      yield* withScaleTypes({ ...restated, spec: { ...restated.spec, scheme: 'symmetric-full' } }, types);
    }
    return;
  }
  const blocks = toGgml(restated);
  if (blocks) yield blocks;
}

type IntMatrix = QuantizedMatrix<IntParams, IntSpec>;

const scaleTypes = ['F16', 'BF16', 'F32'] as const;

/** Those types of scales that hold all of them exactly. */
function* withScaleTypes(matrix: IntMatrix, types: readonly IntSpec['scaleType'][]): Generator<IntMatrix> {
  for (const scaleType of types) {
    if (scalesOf(matrix.params).every((scale) => roundTo(scaleType, scale) === scale))
      yield { ...matrix, spec: { ...matrix.spec, scaleType } };
  }
}

/** MXFP4 is the same numbers by the same codes as a format of floats and as a type of ggml: each as the other. */
function microscaled(matrix: QuantizedMatrix): QuantizedMatrix | undefined {
  const { spec, cols, params } = matrix;
  if (spec.kind === 'ggml' && spec.type === 'mxfp4') {
    const blocks = params as ParamList<BlockParams>;
    return { ...matrix, spec: mxfp4, params: paramList<FloatParams>(blocks.length, (i) => ({ scale: blocks.at(i)!.d })) };
  }
  if (formatName(spec) !== formatName(mxfp4) || cols % block !== 0) return undefined;
  const groups = params as ParamList<FloatParams>;
  return { ...matrix, spec: { kind: 'ggml', type: 'mxfp4' }, params: paramList(groups.length, (i) => storedBlock(groups.at(i)!.scale, 0)) };
}

/** Symmetric int4, int5 and int8 whose groups are made of whole blocks of 32, with half-precision scales: Q4_0, Q5_0 and Q8_0. */
function toGgml({ rows, cols, spec, codes, params, columnGroup, outliers }: IntMatrix): QuantizedMatrix<BlockParams, GgmlSpec> | undefined {
  const type = ggmlOf[spec.bits];
  const { kind } = spec.granularity;
  const size = spec.granularity.kind === 'group' ? spec.granularity.size : cols;
  const whole = cols % block === 0 && size % block === 0 && (kind === 'group' || kind === 'channel');
  if (!type || !whole || columnGroup || outliers || scalesOf(params).some((scale) => roundTo('F16', scale) !== scale)) return undefined;
  const { across } = tileGrid(createFormat(spec), rows, cols);
  const blocksAcross = cols / block;
  const blocks = Array.from({ length: rows * blocksAcross }, (_, i) => {
    const [row, place] = [Math.floor(i / blocksAcross), i % blocksAcross];
    return storedBlock(params.at(row * across + Math.floor((place * block) / size))!.scale, 0);
  });
  return { rows, cols, spec: { kind: 'ggml', type }, codes, params: blocks };
}

function fromGgml({ rows, cols, spec, codes, params }: QuantizedMatrix<unknown, GgmlSpec>): IntMatrix | undefined {
  const bits = bitsOf[spec.type];
  if (!bits) return undefined;
  const zero = 2 ** (bits - 1);
  return {
    rows,
    cols,
    spec: { kind: 'int', bits, scheme: 'symmetric-signed', granularity: { kind: 'group', size: block }, scaleType: 'F16' },
    codes,
    params: Array.from(params as ParamList<BlockParams>, ({ d }) => ({ scale: d, zero })),
  };
}

const block = 32;
const ggmlOf: Readonly<Partial<Record<IntSpec['bits'], GgmlTypeName>>> = { 4: 'q4_0', 5: 'q5_0', 8: 'q8_0' };
const bitsOf: Readonly<Partial<Record<GgmlTypeName, IntSpec['bits']>>> = { q4_0: 4, q5_0: 5, q8_0: 8 };
const mxfp4: FloatSpec = { kind: 'float', element: 'e2m1', granularity: { kind: 'group', size: block }, scaleType: 'E8M0' };
