import { FewbitError } from '@fewbit/core';
import { type FormatSpec, type GgmlTypeName, ggmlTypeNames } from '@fewbit/formats';
import { formatNames, parseFormat } from '@fewbit/presets';

/**
 * A format of weights by its command-line name, or a type of ggml, as GGUF files hold them. Without a group integers take 32, as llama.cpp's blocks have, and other
 * formats their own.
 */
export function parseWeights(format: string, group: number | undefined): FormatSpec {
  if (isGgml(format) && !formatNames.includes(format)) {
    if (group !== undefined) throw new FewbitError('usage', `Format ${format} does not take --group: its blocks are ggml's.`);
    return { kind: 'ggml', type: format };
  }
  const blocks = /^int\d$/.test(format) ? 32 : undefined;
  return parseFormat({ format, group: group ?? blocks }, 'F16');
}

function isGgml(format: string): format is GgmlTypeName {
  return (ggmlTypeNames as readonly string[]).includes(format);
}
