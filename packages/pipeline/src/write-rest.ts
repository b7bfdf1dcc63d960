import { type CheckpointWriter, copyCompanions, type ModelDirectory } from '@fewbit/checkpoint';
import type { ActivationSpec, FormatSpec, Layout } from '@fewbit/formats';
import { linears, type ModelPlan } from '@fewbit/models';

/** Everything that stays as it was (embeddings, norms, biases, head), the config that names the formats, and the companion files. */
export async function writeRest(
  directory: ModelDirectory,
  plan: ModelPlan,
  writer: CheckpointWriter,
  layout: Layout,
  spec: FormatSpec,
  { activation, columnGrouped }: { activation: ActivationSpec | undefined; columnGrouped: ReadonlySet<string> },
): Promise<void> {
  const modules = linears(plan).map(({ module }) => module);
  const rounded = new Set(modules.map((module) => `${module}.weight`));
  for (const name of directory.checkpoint.tensors.keys()) {
    if (!rounded.has(name)) await writer.write(name, await directory.checkpoint.read(name));
  }
  const quantization = layout.describe(new Map(modules.map((module) => [module, spec])), ['lm_head'], {
    columnGrouped,
    ...(activation && { activations: new Map(modules.map((module) => [module, activation])) }),
  });
  await writer.file('config.json', `${JSON.stringify({ ...directory.config, quantization_config: quantization }, null, 2)}\n`);
  await copyCompanions(directory, writer);
}
