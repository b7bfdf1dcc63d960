import { FewbitError, fromFloat32, fromIntegers, type Tensor, toFloat32 } from '@fewbit/core';
import { activationName } from '../activation-name.js';
import { expectTensor } from '../expect-tensor.js';
import type { FloatParams } from '../float/elements.js';
import { requireScale } from '../float-matrix.js';
import type { IntParams } from '../int/int-format.js';
import type { ActivationRounding, ActivationSpec } from '../types.js';

export function packActivation(activation: ActivationRounding | undefined, of = 'input'): Map<string, Tensor> {
  if (activation?.spec.scaling !== 'static') return new Map();
  const params = activation.params as FloatParams & Partial<IntParams>;
  if (!params) throw new FewbitError('usage', `An activation of ${activationName(activation.spec)} needs its params.`);
  const tensors = new Map([[`${of}_scale`, fromFloat32(Float32Array.of(params.scale), 'F32', [1])]]);
  if (params.zero !== undefined) tensors.set(`${of}_zero`, fromIntegers(Uint8Array.of(params.zero), [1]));
  return tensors;
}

export function unpackActivation(tensors: ReadonlyMap<string, Tensor>, spec: ActivationSpec, of = 'input'): ActivationRounding {
  if (spec.scaling === 'dynamic') return { spec };
  const [stored] = toFloat32(expectTensor(tensors, `${of}_scale`, ['F32'], [1])) as unknown as [number];
  const scale = requireScale(stored, `${of}_scale`, 0);
  if (spec.format.kind !== 'int') return { spec, params: { scale } };
  return { spec, params: { scale, zero: expectTensor(tensors, `${of}_zero`, ['U8'], [1]).data[0]! } };
}
