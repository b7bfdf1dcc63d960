import { FewbitError } from '@fewbit/core';

/** No model comes near; a damaged config.json must not make us plan a billion blocks. */
const mostLayers = 4096;

/** `layers`, or throws `config` for more than any model has. */
export function requireLayers(layers: number): number {
  if (layers > mostLayers) throw new FewbitError('config', `config.json: ${layers} layers are more than Fewbit accepts (${mostLayers}).`);
  return layers;
}

/** Throws `config` unless every key/value head serves the same number of query heads. */
export function requireHeads(heads: number, keyValueHeads: number): void {
  if (heads % keyValueHeads !== 0) {
    throw new FewbitError(
      'config',
      `config.json: num_attention_heads ${heads} must be a multiple of num_key_value_heads ${keyValueHeads}.`,
    );
  }
}
