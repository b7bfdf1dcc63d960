import { FewbitError } from '@fewbit/core';
import {
  createFormat,
  decodeMatrix,
  encodeMatrix,
  type FormatSpec,
  formatName,
  type IntSpec,
  type Layout,
  type NumericFormat,
  type QuantizedMatrix,
  refusalOf,
  restatedSpec,
  restateFor,
} from '@fewbit/formats';
import type { WeightSource } from '@fewbit/runtime';
import { siteFormats } from './site-formats.js';
import type { WeightSite } from './types.js';

/** What every matrix is converted to. */
export interface Conversion {
  readonly layout: Layout;
  /** The model is in this layout already. */
  readonly same: boolean;
  /** The type of scales that engines load as it is. Default: the one that they have. */
  readonly preferred?: IntSpec['scaleType'] | undefined;
  /** The format to which a matrix is rounded again, unless it is on such a grid already; undefined where none is wanted. */
  wanted(site: Pick<WeightSite, 'module' | 'role'>): FormatSpec | undefined;
}

/**
 * The matrix that is written in the place of `before`, undefined for one that is left in float: the same values where the layout has them,
 * else rounded again by `refits`, which are those of `formatsOfRefit`.
 */
export function convertMatrix(
  before: QuantizedMatrix,
  { module, role }: WeightSite,
  { layout, same: isSame, preferred }: Conversion,
  refits: ReadonlyMap<string, NumericFormat>,
): { readonly matrix: QuantizedMatrix; readonly exact: boolean } | undefined {
  if (!hasPlace(role, layout, isSame)) return undefined;
  const same = restateFor(layout, before, preferred);
  const refit = refits.get(module);
  if (same && (!refit || isOnGrid(same.spec, refit.spec))) return { matrix: same, exact: true };
  if (refit) return { matrix: encodeMatrix(decodeMatrix(before), refit), exact: false };
  if (role !== 'linear') return undefined;
  throw refusal(layout, module, before.spec, refusalOf(layout, before) ?? 'its scales are not of a type that the layout holds.');
}

/** The format of that matrix, from its own format alone: of its values, scales and zero points it is taken that they have a place. */
export function convertedSpec(
  spec: FormatSpec,
  site: WeightSite,
  { layout, same: isSame, preferred, wanted }: Conversion,
): FormatSpec | undefined {
  const { module, role, rows, cols } = site;
  if (!hasPlace(role, layout, isSame)) return undefined;
  const same = restatedSpec(layout, { spec, rows, cols }, preferred);
  const refit = wanted(site);
  if (same && (!refit || isOnGrid(same, refit))) return same;
  if (refit) return refit;
  if (role !== 'linear') return undefined;
  throw refusal(layout, module, spec, layout.rejects(spec, rows, cols)!);
}

/** How each matrix is rounded again where it must be, by module. */
export async function formatsOfRefit(
  source: WeightSource,
  sites: readonly WeightSite[],
  { layout, wanted }: Conversion,
): Promise<ReadonlyMap<string, NumericFormat>> {
  const specs = new Map(sites.map((site) => [site.module, wanted(site)]));
  const formats = new Map<string, NumericFormat>();
  for (const site of source.plan.blocks.flatMap((block) => block.sites)) {
    const ofSite = await siteFormats(
      site,
      (module) => specs.get(module),
      (module) => source.linear(module),
      layout,
    );
    for (const [module, format] of ofSite) formats.set(module, format);
  }
  for (const { module, role } of sites) {
    const spec = role === 'linear' ? undefined : specs.get(module);
    if (spec) formats.set(module, createFormat(spec));
  }
  return formats;
}

/** Not every reader takes an embedding or a head in codes; those of a layout that has it so do. */
function hasPlace(role: WeightSite['role'], layout: Layout, same: boolean): boolean {
  return role === 'linear' || same || layout.holdsTables === true;
}

/** Whether weights in format `spec` are such as `wanted` gives: the same levels and groups, whatever their scales are and how they were found. */
function isOnGrid(spec: FormatSpec, wanted: FormatSpec): boolean {
  return gridName(spec) === gridName(wanted);
}

function gridName(spec: FormatSpec): string {
  if (spec.kind !== 'int') return formatName(spec);
  return formatName({ ...spec, scheme: spec.scheme.startsWith('symmetric') ? 'symmetric-full' : 'asymmetric' });
}

function refusal(layout: Layout, module: string, spec: FormatSpec, why: string): FewbitError {
  return new FewbitError(
    'unsupported',
    `Layout ${layout.id} has no format with the weights of ${module} (${formatName(spec)}): ${why} Rounding them again loses accuracy; --refit --format … does it.`,
  );
}
