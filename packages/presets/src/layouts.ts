import { FewbitError } from '@fewbit/core';
import { awq, bitsandbytes, compressedTensors, fewbit, fp8, gguf, gptq, gptqV2, type Layout } from '@fewbit/formats';

/** Tried in order to read a checkpoint; found by id to write one. */
export const layouts: readonly Layout[] = [compressedTensors, gptq, gptqV2, awq, bitsandbytes, fp8, gguf, fewbit];

export const layoutNames: readonly string[] = layouts.map(({ id }) => id);

/** A layout by name. Throws `usage` with the choices. */
export function findLayout(name: string): Layout {
  const layout = layouts.find(({ id }) => id === name);
  if (!layout) throw new FewbitError('usage', `Unknown layout "${name}". Choose one of: ${layoutNames.join(', ')}.`);
  return layout;
}
