import { createGgufFile } from '@fewbit/checkpoint';
import { FewbitError } from '@fewbit/core';
import { gguf } from '@fewbit/formats';
import { type ConvertReport, convert, type FloatType } from '@fewbit/pipeline';
import { type FormatChoice, parseFormat } from './formats.js';
import { findLayout, layouts } from './layouts.js';

export interface ConvertJob {
  readonly model: string;
  readonly output: string;
  /** A layout's name, or `float`. */
  readonly layout: string;
  /** Round again where the layout has no format with the same weights. */
  readonly refit?: FormatChoice | undefined;
  /** `f32`, `f16`, `bf16`: float tensors are rounded to it. */
  readonly dtype?: string | undefined;
}

const floatTypes: Readonly<Record<string, FloatType>> = { f32: 'F32', f16: 'F16', bf16: 'BF16' };

/** Writes a model in another layout. Throws `usage` for unknown names, and what the pipeline's `convert` throws. */
export async function convertPretrained({ model, output, layout: name, refit, dtype }: ConvertJob): Promise<ConvertReport> {
  const layout = name === 'float' ? undefined : findLayout(name);
  if (dtype !== undefined && !Object.hasOwn(floatTypes, dtype)) {
    throw new FewbitError('usage', `Unknown dtype "${dtype}". Choose one of: ${Object.keys(floatTypes).join(', ')}.`);
  }
  const floats = dtype === undefined ? undefined : floatTypes[dtype];
  const createWriter = layout === gguf ? (path: string) => createGgufFile(path) : undefined;
  return convert({
    model,
    output,
    layouts,
    layout,
    createWriter,
    floats,
    refit: refit && parseFormat(refit, layout?.scaleTypes?.[0] ?? 'F32'),
  });
}
