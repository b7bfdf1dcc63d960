import type { Tensor } from '@fewbit/core';
import type { ActivationRounding, ActivationSpec, KeyValueLayout } from './types.js';

/** The tensors of keys and values where a layout stores theirs as it stores those of inputs, under `k_` and `v_` in the place of `input_`. */
export function keyValueTensors(
  pack: (activation: ActivationRounding, of: string) => ReadonlyMap<string, Tensor>,
  unpack: (tensors: ReadonlyMap<string, Tensor>, spec: ActivationSpec, of: string) => ActivationRounding,
): Omit<KeyValueLayout, 'rejects'> {
  return {
    pack: ({ keys, values }) => new Map([...pack(keys, 'k'), ...pack(values, 'v')]),
    unpack: (tensors, spec) => ({ keys: unpack(tensors, spec, 'k'), values: unpack(tensors, spec, 'v') }),
  };
}

/** Whether a tensor is one of those, by its full name. */
export function isKeyValueTensor(name: string): boolean {
  return /\.[kv]_(scale|zero|zero_point)$/.test(name);
}
