import type { ModelDirectory } from '@fewbit/checkpoint';
import { FewbitError } from '@fewbit/core';
import { type ActivationSpec, type FormatSpec, type Layout, type LayoutReading, storedFormat } from '@fewbit/formats';
import type { ModelPlan } from '@fewbit/models';
import { type Conversion, convertedSpec } from './convert-matrix.js';
import type { WeightSite } from './types.js';

/** What a conversion would write, by what the headers of the model tell. */
export interface PlannedConversion {
  readonly layout: Layout;
  readonly plan: ModelPlan;
  /** Undefined for a module in float. */
  format(module: string): FormatSpec | undefined;
  activation(module: string): ActivationSpec | undefined;
  readonly keyValues?: ActivationSpec;
}

/** Throws `unsupported` for a matrix in a format that the layout does not have, or for a format to round again to that it cannot hold. */
export function planConversion(
  { checkpoint }: ModelDirectory,
  plan: ModelPlan,
  sites: readonly WeightSite[],
  reading: LayoutReading | undefined,
  conversion: Conversion,
  { plainInputs, plainKeyValues }: { readonly plainInputs?: boolean | undefined; readonly plainKeyValues?: boolean | undefined },
): PlannedConversion {
  const { layout } = conversion;
  const formats = new Map<string, FormatSpec>();
  for (const site of sites) {
    if (site.role !== 'linear' && checkpoint.tensors.has(`${site.module}.weight`)) continue; // in float, whatever a config says of all Linears
    const spec = reading && storedFormat(reading, site.module, checkpoint.tensors);
    const converted = spec && convertedSpec(spec, site, conversion);
    const why = converted && layout.rejects(converted, site.rows, site.cols);
    if (why) throw new FewbitError('unsupported', `Layout ${layout.id} cannot hold ${site.module}: ${why}`);
    if (converted) formats.set(site.module, converted);
  }
  return {
    layout,
    plan,
    format: (module) => formats.get(module),
    activation(module) {
      const spec = formats.get(module);
      return (plainInputs ? undefined : reading?.activation?.(module)) ?? (spec && layout.impliedActivation?.(spec));
    },
    ...(reading?.keyValues && !plainKeyValues && { keyValues: reading.keyValues }),
  };
}
