import { type CheckpointWriter, copyCompanions, type ModelDirectory } from '@fewbit/checkpoint';
import { type DescribeOptions, type FormatSpec, isKeyValueTensor, type Layout } from '@fewbit/formats';
import { linears, type ModelPlan } from '@fewbit/models';
import type { WeightSource } from '@fewbit/runtime';
import { storedAs } from './stored-as.js';
import type { FloatType } from './types.js';

export interface RestOptions extends DescribeOptions {
  /** Undefined where the output is a float model. */
  readonly layout?: Layout | undefined;
  /** The modules that are written already, with their formats; none of their tensors but biases is copied. */
  readonly formats: ReadonlyMap<string, FormatSpec>;
  /** To which float tensors are rounded, unless the writer of the layout sees to that. Default: they stay as they are. */
  readonly floats?: FloatType | undefined;
}

/** Everything that stays as it was (embeddings, norms, biases, head), the config that names the formats, and the companion files. */
export async function copyRest(
  directory: ModelDirectory,
  source: WeightSource,
  writer: CheckpointWriter,
  { layout, formats, floats, ...describing }: RestOptions,
): Promise<void> {
  const coded = [...globalTensors(source.plan)].filter((name) => !directory.checkpoint.tensors.has(name));
  const isWritten = weightOf(formats.keys());
  const isCode = weightOf(coded.map((name) => name.replace(/\.weight$/, '')));
  for (const name of coded.filter((name) => !isWritten(name))) {
    const { data, shape } = await source.vector(name); // an embedding or a head that the source holds in codes
    await writer.write(name, storedAs(floats ?? 'F32', data, shape));
  }
  for (const name of directory.checkpoint.tensors.keys()) {
    if (isWritten(name) || isCode(name) || isKeyValueTensor(name)) continue; // keys' and values' are written where they are kept
    const tensor = await directory.checkpoint.read(name);
    await writer.write(name, floats && !layout?.holdsFloat ? storedAs(floats, tensor) : tensor);
  }
  const { quantization_config: _, ...config } = directory.config;
  const ignored = ['lm_head', ...linears(source.plan).map(({ module }) => module)].filter((module) => !formats.has(module));
  const quantization = layout && formats.size > 0 ? { quantization_config: layout.describe(formats, ignored, describing) } : {};
  await writer.file('config.json', `${JSON.stringify({ ...config, ...typed(config, floats), ...quantization }, null, 2)}\n`);
  await copyCompanions(directory, writer);
}

/** Whether a tensor belongs to the weight of one of `modules`. */
function weightOf(modules: Iterable<string>): (name: string) => boolean {
  const parts = new Set([...modules].map((module) => `${module}.`));
  return (name) => !name.endsWith('.bias') && [...prefixes(name)].some((prefix) => parts.has(prefix));
}

/** `a.`, `a.b.`, `a.b.c.` of `a.b.c.d`. */
function* prefixes(name: string): Generator<string> {
  for (let at = name.indexOf('.'); at >= 0; at = name.indexOf('.', at + 1)) yield name.slice(0, at + 1);
}

function globalTensors({ embedding, head }: ModelPlan): ReadonlySet<string> {
  return new Set([embedding.tokens, head.weight]);
}

/** transformers opens a model in the dtype that its config names, under the old name or the new. */
function typed(config: Readonly<Record<string, unknown>>, floats: FloatType | undefined): Record<string, unknown> {
  if (!floats) return {};
  const name = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' }[floats];
  return 'torch_dtype' in config ? { torch_dtype: name } : { dtype: name };
}
