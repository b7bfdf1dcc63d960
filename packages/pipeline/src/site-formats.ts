import type { Matrix } from '@fewbit/core';
import { createFormat, type FormatSpec, formatName, type Layout, type NumericFormat } from '@fewbit/formats';
import type { Site } from '@fewbit/models';

/**
 * The formats of a site's linears, by module. Engines run the linears of one input as one matrix (q, k, v; gate, up), whose tensor
 * scale is one (of FP8, of NVFP4): those that have the same format are bound to all their weights together. Parameters are such as `layout` holds.
 */
export async function siteFormats(
  { linears }: Pick<Site, 'linears'>,
  specOf: (module: string) => FormatSpec | undefined,
  weightOf: (module: string) => Promise<Matrix>,
  layout?: Layout,
): Promise<ReadonlyMap<string, NumericFormat>> {
  const formats = new Map<string, NumericFormat>();
  for (const { module } of linears) {
    const spec = specOf(module);
    if (!spec || formats.has(module)) continue;
    const alike = linears.map((linear) => linear.module).filter((other) => isAlike(spec, specOf(other)));
    const unrestricted = createFormat(spec);
    const format = layout?.restrict?.(unrestricted) ?? unrestricted;
    const bound = format.bind ? format.bind(...(await Promise.all(alike.map(weightOf)))) : format;
    for (const member of alike) formats.set(member, bound);
  }
  return formats;
}

function isAlike(spec: FormatSpec, other: FormatSpec | undefined): boolean {
  return other !== undefined && formatName(other) === formatName(spec);
}
