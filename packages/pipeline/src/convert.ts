import { weightError } from '@fewbit/algorithm';
import {
  type CheckpointWriter,
  createModelDirectory,
  type FileDigest,
  fileDigests,
  type ModelDirectory,
  modelCardFile,
  openModelDirectory,
  quantizationConfig,
} from '@fewbit/checkpoint';
import { FewbitError, type Matrix, transpose } from '@fewbit/core';
import {
  type ActivationSpec,
  activationName,
  decodeMatrix,
  encodeMatrix,
  type FormatSpec,
  formatName,
  type IntSpec,
  type Layout,
  type NumericFormat,
  type QuantizedMatrix,
  refusalOf,
  restateFor,
  storedBits,
} from '@fewbit/formats';
import { attentionModule, type LinearPlan, linears } from '@fewbit/models';
import { openWeights, type WeightSource } from '@fewbit/runtime';
import { convertCard } from './card/convert-card.js';
import { readSourceCard, type SourceCard } from './card/source-card.js';
import { checkConverted } from './check-converted.js';
import { copyRest } from './copy-rest.js';
import { throwIfAborted } from './course.js';
import { siteFormats } from './site-formats.js';
import { storedAs } from './stored-as.js';
import type { FloatType } from './types.js';

export interface ConvertOptions {
  /** A model directory, or a GGUF file. */
  readonly model: string;
  /** Must not exist. */
  readonly output: string;
  /** Those that the model may be in. */
  readonly layouts: readonly Layout[];
  /** What to write; undefined: a float model. */
  readonly layout?: Layout | undefined;
  /** Where the layout cannot hold what the model has: round the decoded weights again to this format, or to each module's. Default: refuse. */
  readonly refit?: FormatSpec | ((module: string) => FormatSpec | undefined) | undefined;
  /** Inputs that were rounded are left in float, and said to be in a note. Default: they are rounded as before, or it is refused. */
  readonly plainInputs?: boolean | undefined;
  /** The same of keys and values. */
  readonly plainKeyValues?: boolean | undefined;
  /** Makes what writes `output`. Default `createModelDirectory`; a GGUF file has one of its own. */
  readonly createWriter?: ((path: string) => Promise<CheckpointWriter & { readonly notes?: readonly string[] }>) | undefined;
  /** To which float tensors are rounded. Default: they stay as they are, and decoded weights become F32. */
  readonly floats?: FloatType | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The `--json` document of `fewbit convert`. */
export interface ConvertReport {
  readonly output: string;
  readonly layout: string;
  /** True where every weight of the layers is the same number as before, checked on what was written. */
  readonly exact: boolean;
  /** Quantized layers written. */
  readonly layers: number;
  /** ‖W−Ŵ‖²/‖W‖² over those layers that were rounded again; absent where none was. */
  readonly refitError?: number;
  readonly bytes: { readonly before: number; readonly after: number };
  readonly notes: readonly string[];
  /** What was written, with hashes; the model card, which says the same, apart. */
  readonly files: readonly FileDigest[];
}

/**
 * Writes a model in another layout, layer by layer. Weights stay the same numbers wherever the layout has a format with them; otherwise it is
 * refused, or with `refit` the layer is rounded again. What was written is read back and compared before it is moved to `output`.
 * Throws `unsupported` for a layout that cannot hold the model, `output` where reading back gives other weights, `cancelled` when the signal fires.
 */
export async function convert(options: ConvertOptions): Promise<ConvertReport> {
  const directory = await openModelDirectory(options.model);
  try {
    const source = await openWeights(directory, options.layouts);
    const card = await readSourceCard(directory);
    const writer = await (options.createWriter ?? createModelDirectory)(options.output);
    try {
      return await run(directory, source, card, writer, options);
    } catch (error) {
      await writer.abort();
      throw error;
    }
  } finally {
    await directory.close();
  }
}

async function run(
  directory: ModelDirectory,
  source: WeightSource,
  card: SourceCard,
  writer: CheckpointWriter & { readonly notes?: readonly string[] },
  options: ConvertOptions,
): Promise<ConvertReport> {
  const { layout, floats, output, signal } = options;
  const formats = new Map<string, FormatSpec>();
  const activations = new Map<string, ActivationSpec>();
  const columnGrouped = new Set<string>();
  const refits: { error: number; weights: number }[] = [];
  const notes = new Set<string>();
  const written = { bits: 0, weights: 0 };
  const keyValues = await convertedKeyValues(source, options, notes, writer);
  const preferred = await preferredScales(directory, source, layout);
  const refitFormats = await formatsOfRefit(source, options);
  for (const linear of linears(source.plan)) {
    const { module } = linear;
    throwIfAborted(signal, module);
    const before = await source.quantized(module);
    if (!before) continue;
    const rounded = await source.activation?.(module);
    const rounding = layout && !options.plainInputs ? rounded : undefined;
    if (rounded && !rounding) notes.add(`inputs were rounded (${activationName(rounded.spec)}), and are no more`);
    if (!layout) {
      await writer.write(`${module}.weight`, floatWeight(linear, decodeMatrix(before), floats ?? 'F32'));
      continue;
    }
    const target = targetOf(before, linear, layout, refitFormats.get(module), preferred);
    if (!target.exact) refits.push({ error: weightError(decodeMatrix(before), decodeMatrix(target.matrix)), weights: before.codes.length });
    const { spec } = target.matrix;
    written.bits += storedBits(target.matrix);
    written.weights += before.codes.length;
    const activation = rounding?.spec ?? undefined;
    const why =
      activation &&
      (layout.rejectsActivation?.(activation, spec) ?? (layout.rejectsActivation ? undefined : 'its files say nothing of inputs.'));
    if (activation && why) {
      throw new FewbitError(
        'unsupported',
        `Layout ${layout.id} cannot round the inputs of ${module} as ${activationName(activation)}: ${why} Without their rounding (--activations none) it can be written.`,
      );
    }
    const implied = layout.impliedActivation?.(spec);
    if (implied && !activation) notes.add(`readers of ${layout.id} round inputs: ${activationName(implied)}`);
    formats.set(module, spec);
    if (activation ?? implied) activations.set(module, (activation ?? implied)!);
    if (target.matrix.columnGroup) columnGrouped.add(module);
    for (const [name, tensor] of layout.pack(target.matrix, rounding)) await writer.write(`${module}.${name}`, tensor);
  }
  if (layout && formats.size === 0 && !layout.holdsFloat) {
    throw new FewbitError('unsupported', `${options.model} is a float model: use fewbit quantize to write layout ${layout.id}.`);
  }
  const decoded = layout ? formats : new Map(await quantizedModules(source));
  await copyRest(directory, source, writer, {
    ...{ layout, formats: decoded, floats, columnGrouped, activations },
    ...(keyValues && { keyValues }),
  });
  const weights = refits.reduce((sum, one) => sum + one.weights, 0);
  let report: Omit<ConvertReport, 'output'>;
  await writer.commit(async (partial, { bytes }) => {
    const meant = (linear: LinearPlan, before: QuantizedMatrix) =>
      layout && targetOf(before, linear, layout, refitFormats.get(linear.module), preferred).matrix;
    const same = await checkConverted(partial, source, { layout, floats, meant, signal });
    report = {
      layout: layout?.id ?? 'float',
      exact: same && refits.length === 0,
      layers: formats.size,
      ...(weights > 0 && { refitError: refits.reduce((sum, { error, weights: count }) => sum + error * count, 0) / weights }),
      bytes: { before: [...directory.checkpoint.tensors.values()].reduce((sum, tensor) => sum + tensor.bytes, 0), after: bytes },
      notes: [...notes, ...(writer.notes ?? [])],
      files: await fileDigests(partial, () => throwIfAborted(signal, output)),
    };
    throwIfAborted(signal, output);
    return { [modelCardFile]: convertCard(card, report, written.weights > 0 ? written.bits / written.weights : floatBits) };
  });
  return { output, ...report! };
}

/** Bits per weight that the card of a float model says. */
const floatBits = 16;

/** Writes how keys and values are rounded, where they are and shall be. Throws `unsupported` where the layout cannot say it. */
async function convertedKeyValues(
  { plan, keyValues }: WeightSource,
  { layout, plainKeyValues }: ConvertOptions,
  notes: Set<string>,
  writer: CheckpointWriter,
): Promise<ActivationSpec | undefined> {
  let spec: ActivationSpec | undefined;
  for (const attention of plan.blocks.map(attentionModule)) {
    const rounding = await keyValues?.(attention);
    if (!rounding) continue;
    const name = activationName(rounding.keys.spec);
    if (!layout || plainKeyValues) {
      notes.add(`keys and values were rounded (${name}), and are no more`);
      continue;
    }
    spec = rounding.keys.spec;
    const why = layout.keyValues ? layout.keyValues.rejects(spec) : 'its files say nothing of them.';
    if (why) {
      const remedy = 'Without their rounding (--kv none) it can be written.';
      throw new FewbitError('unsupported', `Layout ${layout.id} cannot round keys and values as ${name}: ${why} ${remedy}`);
    }
    for (const [tensor, content] of layout.keyValues!.pack(rounding)) await writer.write(`${attention}.${tensor}`, content);
  }
  return spec;
}

/** Engines load scales in the model's own dtype; a checkpoint that is in the layout already keeps its own. */
async function preferredScales(
  directory: ModelDirectory,
  { plan }: WeightSource,
  layout: Layout | undefined,
): Promise<IntSpec['scaleType'] | undefined> {
  if (!layout || layout.recognise(await quantizationConfig(directory))) return undefined;
  const dtype = directory.checkpoint.tensors.get(plan.embedding.tokens)?.dtype;
  return dtype === 'BF16' || dtype === 'F16' ? dtype : undefined;
}

/** The matrix that is written in the place of `before`: the same values where the layout has them. */
function targetOf(
  before: QuantizedMatrix,
  { module }: LinearPlan,
  layout: Layout,
  refit: NumericFormat | undefined,
  preferred: IntSpec['scaleType'] | undefined,
): { matrix: QuantizedMatrix; exact: boolean } {
  const same = restateFor(layout, before, preferred);
  if (same) return { matrix: same, exact: true };
  if (refit) return { matrix: encodeMatrix(decodeMatrix(before), refit), exact: false };
  const why = refusalOf(layout, before) ?? 'its scales are not of a type that the layout holds.';
  throw new FewbitError(
    'unsupported',
    `Layout ${layout.id} has no format with the weights of ${module} (${formatName(before.spec)}): ${why} Rounding them again loses accuracy; --refit --format … does it.`,
  );
}

/** How each linear is rounded again where it must be, by module. */
async function formatsOfRefit(source: WeightSource, { layout, refit }: ConvertOptions): Promise<ReadonlyMap<string, NumericFormat>> {
  const formats = new Map<string, NumericFormat>();
  for (const site of source.plan.blocks.flatMap(({ sites }) => sites)) {
    const ofSite = await siteFormats(site, typeof refit === 'function' ? refit : () => refit, (module) => source.linear(module), layout);
    for (const [module, format] of ofSite) formats.set(module, format);
  }
  return formats;
}

async function quantizedModules(source: WeightSource): Promise<[string, FormatSpec][]> {
  const found: [string, FormatSpec][] = [];
  for (const { module } of linears(source.plan)) {
    const quantized = await source.quantized(module);
    if (quantized) found.push([module, quantized.spec]);
  }
  return found;
}

function floatWeight({ transposed }: LinearPlan, weight: Matrix, floats: FloatType) {
  const { rows, cols, data } = transposed ? transpose(weight) : weight;
  return storedAs(floats, data, [rows, cols]);
}
