import type { FormatSpec } from '@fewbit/formats';
import { parseFormat } from '@fewbit/presets';

/** A format of weights by its command-line name. Without a group integers take 32, as llama.cpp's blocks have, and other formats their own. */
export function parseWeights(format: string, group: number | undefined): FormatSpec {
  const blocks = /^int\d$/.test(format) ? 32 : undefined;
  return parseFormat({ format, group: group ?? blocks }, 'F16');
}
