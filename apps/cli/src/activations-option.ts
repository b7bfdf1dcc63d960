import { oneOf } from './parse-option.js';

const precisions = ['16-bit', 'int8'] as const;

/** `--activations` of commands that run a model: flag, description, default. */
export const activationsOption = [
  '--activations <type>',
  `what the inputs of layers in codes are rounded to: ${precisions.join(', ')} (faster, less exact)`,
  precisions[0],
] as const;

/** Throws `usage` with the choices. */
export function parseActivations(text: string): (typeof precisions)[number] {
  return oneOf('activations', precisions, text);
}
