import { FewbitError } from '@fewbit/core';

/** Whether one of `names` speaks of `module` as transformers takes them: a path, its start or its end, at whole parts of it. */
export function namesModule(names: readonly string[], module: string): boolean {
  return names.some((name) => `.${module}.`.startsWith(`.${name}.`) || `.${module}`.endsWith(`.${name}`));
}

/** A list of module names from a config; empty for null. Throws `config` for anything else. */
export function moduleNames(key: string, value: unknown): readonly string[] {
  const names = value ?? [];
  if (Array.isArray(names) && names.every((name) => typeof name === 'string')) return names;
  throw new FewbitError('config', `quantization_config.${key} must be a list of module names.`);
}
