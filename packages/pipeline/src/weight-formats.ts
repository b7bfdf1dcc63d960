import { dtypeBytes, FewbitError } from '@fewbit/core';
import { createFormat, formatName } from '@fewbit/formats';
import { linears, type ModelPlan } from '@fewbit/models';
import type { QuantizeOptions, WeightFormat, WeightSite } from './types.js';

/** Every matrix that a format may be chosen for: the blocks' linears, the embedding, the head (which is the embedding where tied). */
export function weightSites({ embedding, head, vocabulary, hidden, ...plan }: ModelPlan): WeightSite[] {
  const site = (name: string, role: WeightSite['role']): WeightSite => ({
    module: name.replace(/\.weight$/, ''),
    role,
    rows: vocabulary,
    cols: hidden,
  });
  return [
    ...(head.weight === embedding.tokens ? [] : [site(embedding.tokens, 'embedding')]),
    ...linears({ embedding, head, vocabulary, hidden, ...plan }).map(({ module, rows, cols }) => ({
      module,
      rows,
      cols,
      role: 'linear' as const,
    })),
    site(head.weight, 'head'),
  ];
}

/** The formats of `sites`, by module; what is in none stays as it is. Throws `unsupported` for a matrix that the layout cannot hold. */
export function weightFormats(
  sites: readonly WeightSite[],
  { format, layout }: Pick<QuantizeOptions, 'format' | 'layout'>,
): ReadonlyMap<string, WeightFormat> {
  const formats = new Map<string, WeightFormat>();
  const refused: string[] = [];
  for (const site of sites) {
    const chosen = typeof format === 'function' ? format(site) : site.role === 'linear' ? format : undefined;
    if (chosen === undefined) continue;
    const why = typeof chosen === 'string' ? undefined : layout.rejects(chosen, site.rows, site.cols);
    if (why !== undefined) refused.push(`${site.module} (and {others} more): ${why}`);
    formats.set(site.module, chosen);
  }
  if (refused.length > 0) {
    throw new FewbitError('unsupported', `Layout ${layout.id} cannot hold ${refused[0]!.replace('{others}', String(refused.length - 1))}`);
  }
  return formats;
}

/** A short name for people. */
export function weightFormatName(format: WeightFormat): string {
  return typeof format === 'string' ? format : formatName(format);
}

/** Bits that a rows × cols matrix takes on disk. */
export function storedBits(format: WeightFormat, rows: number, cols: number): number {
  return typeof format === 'string' ? rows * cols * dtypeBytes[format] * 8 : createFormat(format).storedBits(rows, cols);
}
