import {
  FewbitError,
  type FloatDType,
  findInStrips,
  firstNonFinite,
  fromFloat32,
  fromIntegers,
  type Pausable,
  roundTo,
  type Tensor,
  toFloat32InStrips,
} from '@fewbit/core';
import { type FittedParams, fittedParams } from '../codebook/fitted-format.js';
import { expectTensor } from '../expect-tensor.js';
import type { FloatParams } from '../float/elements.js';
import { packFloatScales, unpackFloatScales } from '../float-matrix.js';
import { type IntParams, isSymmetric } from '../int/int-format.js';
import { intParams, scalesOf, zerosOf } from '../int-matrix.js';
import type { ParamList } from '../param-list.js';
import type { TileGrid } from '../tile-grid.js';
import type { CodebookSpec, FloatSpec, FormatSpec, IntSpec } from '../types.js';
import { expectMiddle } from '../zero-points.js';
import { twoLevels } from './two-levels.js';

/** How a family's params are stored, one entry per tile of `grid`. */
export interface ParamTensors {
  pack(params: ParamList<unknown>, grid: TileGrid): Map<string, Tensor>;
  unpack(tensors: ReadonlyMap<string, Tensor>, grid: TileGrid): Pausable<ParamList<unknown>>;
}

/** The way of storing a format's params, or undefined where an engine's layout has it already. */
export function paramsOf(spec: FormatSpec): ParamTensors | undefined {
  if (spec.kind === 'int' && spec.scheme !== 'symmetric-absmax') return integers(spec);
  if (spec.kind === 'two-level') return twoLevels(spec);
  if (spec.kind === 'float' && spec.scaleType !== 'E4M3') return floats(spec);
  if (spec.kind === 'codebook' && spec.levels === 'fitted') return fitted(spec);
  return undefined;
}

function integers(spec: IntSpec): ParamTensors {
  const symmetric = isSymmetric(spec.scheme);
  return {
    pack(params) {
      const list = params as ParamList<IntParams>;
      const tensors = new Map([['weight_scale', pack('scale', scalesOf(list), spec.scaleType, [list.length])]]);
      const zeros = zerosOf(list);
      if (symmetric) expectMiddle('weight_zero', zeros, spec.bits, 1);
      else tensors.set('weight_zero', fromIntegers(zeros, [list.length]));
      return tensors;
    },
    *unpack(tensors, { count }) {
      const scales = yield* unpack(tensors, 'weight_scale', spec.scaleType, [count]);
      const zeros = symmetric ? undefined : expectTensor(tensors, 'weight_zero', ['U8'], [count]).data;
      const bad = zeros?.findIndex((zero) => zero >= 2 ** spec.bits) ?? -1;
      if (bad !== -1) throw new FewbitError('checkpoint', `Tensor weight_zero holds ${zeros![bad]} at ${bad}: expected ${spec.bits} bits.`);
      return intParams(scales, zeros ?? 2 ** (spec.bits - 1));
    },
  };
}

function floats(spec: FloatSpec): ParamTensors {
  return {
    pack: (params) => new Map([['weight_scale', packFloatScales(params as ParamList<FloatParams>, spec, [params.length])]]),
    *unpack(tensors, { count }) {
      const { params, stored } = yield* unpackFloatScales(tensors, 'weight_scale', spec, [count]);
      if (stored.scaleType === spec.scaleType) return params;
      throw new FewbitError('checkpoint', `Tensor weight_scale is ${stored.scaleType}: expected ${spec.scaleType}, as the config says.`);
    },
  };
}

function fitted(spec: CodebookSpec): ParamTensors {
  const width = 2 ** spec.bits;
  return {
    pack(params) {
      const levels = ([...params] as FittedParams[]).flatMap((tile) => [...tile.levels]);
      return new Map([['weight_levels', pack('level', levels, spec.scaleType, [params.length, width])]]);
    },
    *unpack(tensors, { count }) {
      const levels = yield* unpack(tensors, 'weight_levels', spec.scaleType, [count, width]);
      return Array.from({ length: count }, (_, i) => fittedParams(levels.slice(i * width, (i + 1) * width)));
    },
  };
}

function pack(what: string, values: readonly number[] | Float32Array, type: FloatDType, shape: readonly number[]): Tensor {
  const bad = values.find((value) => !Number.isFinite(value) || roundTo(type, value) !== value);
  if (bad !== undefined) throw new FewbitError('usage', `A ${what} of ${bad} is no finite ${type}.`);
  return fromFloat32(Float32Array.from(values), type, shape);
}

function* unpack(tensors: ReadonlyMap<string, Tensor>, name: string, type: FloatDType, shape: readonly number[]): Pausable<Float32Array> {
  const values = yield* toFloat32InStrips(expectTensor(tensors, name, [type], shape));
  const bad = yield* findInStrips(values.length, (start, end) => firstNonFinite(values.subarray(start, end)));
  if (bad !== -1) throw new FewbitError('checkpoint', `Tensor ${name} holds ${values[bad]} at ${bad}: expected finite numbers.`);
  return values;
}
