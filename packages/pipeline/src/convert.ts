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
import { FewbitError, transpose } from '@fewbit/core';
import {
  type ActivationSpec,
  activationName,
  decodeMatrix,
  type FormatSpec,
  formatName,
  type Layout,
  type LayoutReading,
  type QuantizedMatrix,
  storedBits,
} from '@fewbit/formats';
import { attentionModule, linears } from '@fewbit/models';
import { openWeights, type WeightSource } from '@fewbit/runtime';
import { convertCard } from './card/convert-card.js';
import { readSourceCard, type SourceCard } from './card/source-card.js';
import { checkConverted } from './check-converted.js';
import { type Conversion, convertMatrix, formatsOfRefit } from './convert-matrix.js';
import { copyRest } from './copy-rest.js';
import { throwIfAborted } from './course.js';
import { type PlannedConversion, planConversion } from './plan-conversion.js';
import { storedAs } from './stored-as.js';
import type { FloatType, WeightSite } from './types.js';
import { weightSites } from './weight-formats.js';

export interface ConvertOptions {
  /** A model directory, or a GGUF file. */
  readonly model: string;
  /** Must not exist. */
  readonly output: string;
  /** Those that the model may be in. */
  readonly layouts: readonly Layout[];
  /** What to write; undefined: a float model. */
  readonly layout?: Layout | undefined;
  /**
   * Round the decoded weights again to this format, or to each module's, but for those that are on such a grid and have a place in the layout.
   * Default: what the layout cannot hold is refused.
   */
  readonly refit?: FormatSpec | ((module: string) => FormatSpec | undefined) | undefined;
  /** Inputs that were rounded are left in float, and said to be in a note. Default: they are rounded as before, or it is refused. */
  readonly plainInputs?: boolean | undefined;
  /** The same of keys and values. */
  readonly plainKeyValues?: boolean | undefined;
  /** Makes what writes `output`. Default `createModelDirectory`; a GGUF file has one of its own. */
  readonly createWriter?: ((path: string) => Promise<CheckpointWriter & { readonly notes?: readonly string[] }>) | undefined;
  /** To which float tensors are rounded. Default: they stay as they are, and decoded weights become F32. */
  readonly floats?: FloatType | undefined;
  /** Sees what would be written to a layout before any weight is read, and may throw. */
  readonly accept?: ((planned: PlannedConversion) => void) | undefined;
  /** Sees the directory that was written before it is moved to `output`, and may throw; then nothing is left. */
  readonly check?: ((path: string) => Promise<void>) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The `--json` document of `fewbit convert`. */
export interface ConvertReport {
  readonly output: string;
  readonly layout: string;
  /** True where every weight of the layers is the same number as before, checked on what was written. */
  readonly exact: boolean;
  /** Quantized matrices written: layers, and embedding and head where they are. */
  readonly layers: number;
  /** How many of them were rounded again; absent where none was. */
  readonly refitLayers?: number;
  /** ‖W−Ŵ‖²/‖W‖² over those that were rounded again; absent where none was. */
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
    const quantization = await quantizationConfig(directory);
    const reading = options.layouts.map((layout) => layout.recognise(quantization)).find((found) => found !== undefined);
    const sites = weightSites(source.plan);
    const conversion = options.layout && conversionOf(directory, source, reading, options.layout, options);
    const planned = conversion && planConversion(directory, source.plan, sites, reading, conversion, options);
    if (planned) options.accept?.(planned);
    const card = await readSourceCard(directory);
    const writer = await (options.createWriter ?? createModelDirectory)(options.output);
    try {
      return await run({ directory, source, card, sites, conversion, writer }, options);
    } catch (error) {
      await writer.abort();
      throw error;
    }
  } finally {
    await directory.close();
  }
}

/** How matrices go into a layout. Engines load scales in the model's own dtype; a checkpoint that is in the layout already keeps its own. */
function conversionOf(
  { checkpoint }: ModelDirectory,
  { plan }: WeightSource,
  reading: LayoutReading | undefined,
  layout: Layout,
  { refit }: ConvertOptions,
): Conversion {
  const same = reading?.layout === layout;
  const dtype = checkpoint.tensors.get(plan.embedding.tokens)?.dtype;
  return {
    ...{ layout, same },
    preferred: !same && (dtype === 'BF16' || dtype === 'F16') ? dtype : undefined,
    // one format for all is one for layers
    wanted: ({ module, role }) => (typeof refit === 'function' ? refit(module) : role === 'linear' ? refit : undefined),
  };
}

interface Work {
  readonly directory: ModelDirectory;
  readonly source: WeightSource;
  readonly card: SourceCard;
  readonly sites: readonly WeightSite[];
  /** Undefined: to float. */
  readonly conversion: Conversion | undefined;
  readonly writer: CheckpointWriter & { readonly notes?: readonly string[] };
}

async function run({ directory, source, card, sites, conversion, writer }: Work, options: ConvertOptions): Promise<ConvertReport> {
  const { layout, floats, output, signal } = options;
  const formats = new Map<string, FormatSpec>();
  const activations = new Map<string, ActivationSpec>();
  const columnGrouped = new Set<string>();
  const refits: { error: number; weights: number }[] = [];
  const notes = new Set<string>();
  const written = { bits: 0, weights: 0 };
  const keyValues = await convertedKeyValues(source, options, notes, writer);
  const refitFormats = conversion ? await formatsOfRefit(source, sites, conversion) : new Map();
  const transposed = new Set(linears(source.plan).flatMap((linear) => (linear.transposed ? linear.module : [])));
  for (const site of sites) {
    const { module, role } = site;
    throwIfAborted(signal, module);
    const before = await source.quantized(module);
    if (!before) continue;
    const rounded = await source.activation?.(module);
    const rounding = layout && !options.plainInputs ? rounded : undefined;
    if (rounded && !rounding) notes.add(`inputs were rounded (${activationName(rounded.spec)}), and are no more`);
    if (!layout || !conversion) {
      if (role !== 'linear') continue; // copied with the rest
      const { rows, cols, data } = transposed.has(module) ? transpose(decodeMatrix(before)) : decodeMatrix(before);
      await writer.write(`${module}.weight`, storedAs(floats ?? 'F32', data, [rows, cols]));
      continue;
    }
    const target = convertMatrix(before, site, conversion, refitFormats);
    if (!target) {
      const what = `${module} was in ${formatName(before.spec)}`;
      notes.add(`${what}, for which layout ${layout.id} has no place in an embedding or a head: it is in float now`);
      continue;
    }
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
  const tables = new Set(sites.flatMap(({ role, module }) => (role !== 'linear' && formats.has(module) ? module : [])));
  await copyRest(directory, source, writer, {
    ...{ layout, formats: decoded, floats, columnGrouped, activations, tables },
    ...(keyValues && { keyValues }),
  });
  const weights = refits.reduce((sum, one) => sum + one.weights, 0);
  let report: Omit<ConvertReport, 'output'>;
  await writer.commit(async (partial, { bytes }) => {
    const meant = (site: WeightSite, before: QuantizedMatrix) =>
      conversion && convertMatrix(before, site, conversion, refitFormats)?.matrix;
    const same = await checkConverted(partial, source, { layout, floats, meant, signal });
    report = {
      layout: layout?.id ?? 'float',
      exact: same && refits.length === 0,
      layers: formats.size,
      ...(weights > 0 && {
        refitLayers: refits.length,
        refitError: refits.reduce((sum, { error, weights: count }) => sum + error * count, 0) / weights,
      }),
      bytes: { before: [...directory.checkpoint.tensors.values()].reduce((sum, tensor) => sum + tensor.bytes, 0), after: bytes },
      notes: [...notes, ...(writer.notes ?? [])],
      files: await fileDigests(partial, () => throwIfAborted(signal, output)),
    };
    throwIfAborted(signal, output);
    await options.check?.(partial);
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

async function quantizedModules(source: WeightSource): Promise<[string, FormatSpec][]> {
  const found: [string, FormatSpec][] = [];
  for (const { module } of linears(source.plan)) {
    const quantized = await source.quantized(module);
    if (quantized) found.push([module, quantized.spec]);
  }
  return found;
}
