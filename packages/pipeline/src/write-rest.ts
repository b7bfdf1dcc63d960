import { type CheckpointWriter, copyCompanions, type ModelDirectory } from '@fewbit/checkpoint';
import type { ActivationSpec, DescribeOptions, FormatSpec, Layout } from '@fewbit/formats';
import type { WeightFormat, WeightSite } from './types.js';

/** Everything that stays as it was (norms, biases, matrices without a format), the config that names the formats, and the companion files. */
export async function writeRest(
  directory: ModelDirectory,
  writer: CheckpointWriter,
  layout: Layout,
  sites: readonly WeightSite[],
  formats: ReadonlyMap<string, WeightFormat>,
  {
    activation,
    keyValues,
    columnGrouped,
  }: Pick<DescribeOptions, 'columnGrouped'> & Record<'activation' | 'keyValues', ActivationSpec | undefined>,
): Promise<void> {
  for (const name of directory.checkpoint.tensors.keys()) {
    if (!formats.has(name.replace(/\.weight$/, ''))) await writer.write(name, await directory.checkpoint.read(name));
  }
  const { quantization_config: _, ...config } = directory.config;
  const specs = new Map([...formats].filter((entry): entry is [string, FormatSpec] => typeof entry[1] !== 'string'));
  await writer.file(
    'config.json',
    `${JSON.stringify({ ...config, ...(specs.size > 0 && { quantization_config: described() }) }, null, 2)}\n`,
  );
  await copyCompanions(directory, writer);

  function described(): Record<string, unknown> {
    const floats = sites.filter(({ module, role }) => role === 'linear' && !specs.has(module)).map(({ module }) => module);
    const modules = sites.filter(({ module, role }) => role === 'linear' && specs.has(module)).map(({ module }) => module);
    return layout.describe(specs, [...floats, 'lm_head'], {
      ...(columnGrouped && { columnGrouped }),
      ...(keyValues && { keyValues }),
      ...(activation && { activations: new Map(modules.map((module) => [module, activation])) }),
    });
  }
}
