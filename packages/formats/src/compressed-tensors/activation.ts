/**
 * Rounded inputs in compressed-tensors. Dynamic ones have no tensors, static ones
 *
 *   input_scale       float [1]
 *   input_zero_point  I8 [1]  code of 0 less 2^(bits − 1); asymmetric only
 *
 * and NVFP4, whose groups have scales of their own,
 *
 *   input_global_scale  F32 [1]  the divisor, as of weights
 */
import { FewbitError, fromFloat32, fromIntegers, type Tensor, toFloat32 } from '@fewbit/core';
import { activationName } from '../activation-name.js';
import { expectTensor } from '../expect-tensor.js';
import type { FloatParams } from '../float/elements.js';
import type { NvParams } from '../float/nv-format.js';
import { requireScale } from '../float-matrix.js';
import { type IntParams, isSymmetric } from '../int/int-format.js';
import type { ActivationRounding, ActivationSpec, FloatSpec, FormatSpec } from '../types.js';
import { unpackDivisor } from './fp4-quantized.js';
import { isHeld } from './held-spec.js';

/** Integers, FP8, and the microscaling formats as their presets have them; integers are `symmetric-full` or `asymmetric`, as compressed-tensors computes them. */
export function rejectsActivation(activation: ActivationSpec): string | undefined {
  const { format, outlierThreshold, perHead } = activation;
  const refuse = (why: string) => `compressed-tensors cannot say that inputs are ${activationName(activation)}: ${why}.`;
  if (outlierThreshold !== undefined) return refuse('no outliers stay in float there');
  if (perHead) return refuse('heads are those of keys and values');
  if (!isHeld(format)) return refuse('its codes are integers and floats');
  const { kind } = format.granularity;
  if (kind === 'block' || kind === 'flat') return refuse('inputs have scales per token, tensor or group');
  if (activation.scaling === 'static' && kind !== 'tensor') return refuse('a stored scale is one per tensor');
  if (format.kind === 'int' && (format.scheme === 'symmetric-restricted' || format.scheme === 'symmetric-signed')) {
    return refuse('its scale is absmax/127.5');
  }
  if (format.kind === 'float') return rejectsFloats(format, activation.scaling, refuse);
  return activation.scaling === 'local' ? refuse('integers have no tensor scale') : undefined;
}

function rejectsFloats(
  { element, scaleType, granularity }: FloatSpec,
  scaling: ActivationSpec['scaling'],
  refuse: (why: string) => string,
): string | undefined {
  const size = granularity.kind === 'group' ? granularity.size : undefined;
  if (scaleType === 'E4M3') {
    return element === 'e2m1' && size === 16 && scaling === 'local'
      ? undefined
      : refuse('NVFP4 has groups of 16 under a calibrated tensor scale');
  }
  if (scaling === 'local') return refuse('NVFP4 alone has a tensor scale');
  if (scaleType === 'E8M0') return size === 32 && element !== 'e5m2' ? undefined : refuse('MXFP4 and MXFP8 have groups of 32');
  return element === 'e4m3' ? undefined : refuse('its floats are E4M3');
}

/** Readers round keys and values by stored scales alone, one per layer or per head, as the rest of the model does inputs. */
export function rejectsKeyValues({ perHead, ...spec }: ActivationSpec): string | undefined {
  const refuse = (why: string) => `compressed-tensors cannot say that keys and values are ${activationName(spec)}: ${why}.`;
  if (spec.scaling !== 'static')
    return refuse('its readers take one stored scale for the keys of a layer and one for its values, or one per head');
  return rejectsActivation(spec);
}

export function packActivation(activation: ActivationRounding | undefined, of = 'input'): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  if (!activation || activation.spec.scaling === 'dynamic') return tensors;
  const { format, scaling } = activation.spec;
  const params = activation.params as IntParams | FloatParams | undefined;
  if (!params) throw new FewbitError('usage', `An activation of ${activationName(activation.spec)} needs its params.`);
  if (scaling === 'local') {
    const { divisor } = params as NvParams;
    return tensors.set(`${of}_global_scale`, fromFloat32(Float32Array.of(divisor), 'F32', [1]));
  }
  tensors.set(`${of}_scale`, fromFloat32(Float32Array.of(params.scale), 'F32', [1]));
  if (isAsymmetric(format)) {
    const zero = (params as IntParams).zero - 2 ** (format.bits - 1);
    tensors.set(`${of}_zero_point`, fromIntegers(Int8Array.of(zero), [1]));
  }
  return tensors;
}

export function unpackActivation(tensors: ReadonlyMap<string, Tensor>, spec: ActivationSpec, of = 'input'): ActivationRounding {
  if (spec.scaling === 'dynamic') return { spec };
  if (spec.scaling === 'local') return { spec, params: { divisor: unpackDivisor(tensors, `${of}_global_scale`) } };
  const [stored] = toFloat32(expectTensor(tensors, `${of}_scale`, ['F32', 'F16', 'BF16'], [1])) as unknown as [number];
  const scale = requireScale(stored, `${of}_scale`, 0);
  if (spec.format.kind !== 'int') return { spec, params: { scale } };
  const middle = 2 ** (spec.format.bits - 1);
  if (!isAsymmetric(spec.format)) return { spec, params: { scale, zero: middle } };
  const [byte] = expectTensor(tensors, `${of}_zero_point`, ['I8'], [1]).data as unknown as [number];
  return { spec, params: { scale, zero: ((byte << 24) >> 24) + middle } };
}

function isAsymmetric(format: FormatSpec): format is Extract<FormatSpec, { kind: 'int' }> {
  return format.kind === 'int' && !isSymmetric(format.scheme);
}
