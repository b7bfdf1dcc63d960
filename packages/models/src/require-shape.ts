import { FewbitError } from '@fewbit/core';

/** No model comes near; a damaged config.json must not make us plan a billion blocks. */
const mostLayers = 4096;

/** `layers`, or throws `config` for more than any model has. */
export function requireLayers(layers: number): number {
  if (layers > mostLayers) throw new FewbitError('config', `config.json: ${layers} layers are more than Fewbit accepts (${mostLayers}).`);
  return layers;
}

/** `size` ÷ `parts`, or throws `config` when that is no integer. */
export function requireDivisible(field: string, size: number, partsField: string, parts: number): number {
  if (size % parts === 0) return size / parts;
  throw new FewbitError('config', `config.json: ${field} ${size} must be a multiple of ${partsField} ${parts}.`);
}
