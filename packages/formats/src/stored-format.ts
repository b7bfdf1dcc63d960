import type { DType } from '@fewbit/core';
import type { FormatSpec, LayoutReading } from './types.js';

/** The format of a module, with scales of the type that its tensors have where a config does not tell it (compressed-tensors'). */
export function storedFormat(
  { layout: { scaleTensor }, format }: LayoutReading,
  module: string,
  tensors: ReadonlyMap<string, { readonly dtype: DType }>,
): FormatSpec | undefined {
  const spec = format(module);
  if (scaleTensor === undefined || (spec?.kind !== 'int' && spec?.kind !== 'float')) return spec;
  if (spec.scaleType === 'E8M0' || spec.scaleType === 'E4M3') return spec;
  const dtype = tensors.get(`${module}.${scaleTensor}`)?.dtype;
  return dtype === 'F32' || dtype === 'F16' || dtype === 'BF16' ? { ...spec, scaleType: dtype } : spec;
}
