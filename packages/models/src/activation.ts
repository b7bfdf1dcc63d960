import { FewbitError } from '@fewbit/core';
import type { Activation } from '@fewbit/kernels';
import type { ConfigReader } from './config-reader.js';

/** transformers' names for each activation. */
const activations: Readonly<Record<string, Activation>> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_new: 'gelu-tanh',
  gelu_fast: 'gelu-tanh',
  gelu_pytorch_tanh: 'gelu-tanh',
  relu: 'relu',
};

/** The activation that `field` names. Throws `unsupported` for one that no kernel has. */
export function activation(config: ConfigReader, field: string, fallback: string): Activation {
  const name = config.text(field, fallback);
  const found = Object.hasOwn(activations, name) ? activations[name] : undefined;
  if (found) return found;
  throw new FewbitError(
    'unsupported',
    `Activation ${field} '${name}' is not supported; supported are ${Object.keys(activations).join(', ')}.`,
  );
}
