import { FewbitError, fromFloat32, inStrips, type Pausable, roundTo, type Tensor, toFloat32InStrips } from '@fewbit/core';
import { createFormat } from './create-format.js';
import { expectTensor } from './expect-tensor.js';
import type { FloatParams } from './float/elements.js';
import { fromE8m0, toE8m0 } from './float/mx-format.js';
import { scalesOf } from './int-matrix.js';
import { type ParamList, paramList } from './param-list.js';
import { tileGrid } from './tile-grid.js';
import type { FloatSpec, QuantizedMatrix } from './types.js';

export type FloatMatrix<P extends FloatParams = FloatParams> = QuantizedMatrix<P, FloatSpec>;

/** `matrix` with its params as floats'. Throws `usage` where codes or params are not what its spec says, so that no damaged file is written. */
export function checkFloatMatrix<P extends FloatParams>(matrix: QuantizedMatrix<unknown, FloatSpec>): FloatMatrix<P> {
  const { rows, cols, spec, codes, columnGroup } = matrix;
  const { levels } = createFormat(spec);
  const { count } = tileGrid(createFormat(spec), rows, cols);
  const params = matrix.params as ParamList<P>;
  const expect = (held: boolean, message: string) => {
    if (!held) throw new FewbitError('usage', `A quantized ${rows} × ${cols} matrix ${message}.`);
  };
  expect(codes.length === rows * cols, `needs ${rows * cols} codes, got ${codes.length}`);
  expect(params.length === count, `has ${count} tiles, got ${params.length} params`);
  const high = codes.findIndex((code) => code >= levels);
  expect(high === -1, `of ${spec.element} holds code ${codes[high]} at ${high}`);
  for (const { scale } of params) expect(Number.isFinite(scale) && scale > 0, `has scale ${scale}, which is not positive and finite`);
  expect(columnGroup === undefined, `of ${spec.element} cannot have a columnGroup`);
  return { ...matrix, params };
}

/** Scales as the tensor that they are stored in: floats, or E8M0 bytes (U8). */
export function packFloatScales(params: ParamList<FloatParams>, { scaleType }: FloatSpec, shape: readonly number[]): Tensor {
  if (scaleType === 'E8M0') return { dtype: 'U8', shape, data: Uint8Array.from(scalesOf(params), toE8m0) };
  if (scaleType === 'E4M3') throw new FewbitError('usage', 'E4M3 scales stand under a tensor scale: they are no scales by themselves.');
  for (const { scale } of params) {
    if (roundTo(scaleType, scale) !== scale) throw new FewbitError('usage', `Scale ${scale} is no ${scaleType}.`);
  }
  const scales = scalesOf(params);
  return fromFloat32(scales, scaleType, shape);
}

/** The scales called `name`, and the spec with the type that they are stored in. */
export function* unpackFloatScales(
  tensors: ReadonlyMap<string, Tensor>,
  name: string,
  spec: FloatSpec,
  shape: readonly number[],
): Pausable<{ params: ParamList<FloatParams>; stored: FloatSpec }> {
  if (spec.scaleType === 'E8M0') {
    const { data } = expectTensor(tensors, name, ['U8', 'F8_E8M0'], shape);
    const scales = new Float32Array(data.length);
    yield* inStrips(data.length, 1, (start, end) => {
      for (let i = start; i < end; i++) scales[i] = fromE8m0(data[i]!);
    });
    return { params: yield* floatParams(scales, name), stored: spec };
  }
  const tensor = expectTensor(tensors, name, ['F32', 'F16', 'BF16'], shape);
  return { params: yield* floatParams(yield* toFloat32InStrips(tensor), name), stored: { ...spec, scaleType: tensor.dtype } };
}

function* floatParams(scales: Float32Array, name: string): Pausable<ParamList<FloatParams>> {
  yield* inStrips(scales.length, 1, (start, end) => {
    for (let i = start; i < end; i++) requireScale(scales[i]!, name, i);
  });
  return paramList(scales.length, (i) => ({ scale: scales[i]! }));
}

export function requireScale(scale: number, name: string, at: number): number {
  if (Number.isFinite(scale) && scale >= 0) return scale;
  throw new FewbitError('checkpoint', `Tensor ${name} holds ${scale} at ${at}: expected finite numbers of at least 0.`);
}
