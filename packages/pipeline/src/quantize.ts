import {
  type CheckpointWriter,
  createModelDirectory,
  fileDigests,
  type ModelDirectory,
  modelCardFile,
  openModelDirectory,
  quantizationConfig,
} from '@fewbit/checkpoint';
import { elementCount, FewbitError, firstNonFinite, type Tensor } from '@fewbit/core';
import { type ActivationRounding, activationName, type KeyValueRounding, type QuantizedMatrix } from '@fewbit/formats';
import { linears, type ModelPlan } from '@fewbit/models';
import { freeGlobals, loadGlobals, openWeights, type WeightSource } from '@fewbit/runtime';
import { quantizeCard, type ReproducibleReport } from './card/quantize-card.js';
import { readSourceCard, type SourceCard } from './card/source-card.js';
import { Course, throwIfAborted } from './course.js';
import { costsOf } from './plan/costs.js';
import { measureRates } from './plan/measure-rates.js';
import { planMemory } from './plan/memory-plan.js';
import { memoryFor } from './plan/state-sizes.js';
import { planTime } from './plan/time-plan.js';
import { quantizeBlock } from './quantize-block.js';
import { logitsOf, readBack } from './read-back.js';
import { refuseEarly } from './refuse-early.js';
import { roundGlobals } from './round-globals.js';
import { calibrating, probe, type Sequence, type SequenceTokens, type Started, startSequences } from './start-sequences.js';
import type { LayerReport, QuantizeOptions, QuantizeReport, RunPlan, WeightFormat, WeightSite } from './types.js';
import { weightFormats, weightSites } from './weight-formats.js';
import { writeRest } from './write-rest.js';

/**
 * Quantizes the linear layers of every block of a model and writes the result as a model directory that the
 * layout's engines load. One block is in memory at a time. What was written is read back before it is moved to
 * `output`, where nothing is left when it fails.
 *
 * Throws `usage` when the method needs calibration and there is none, `unsupported` when the layout cannot hold
 * the format or the model is quantized already, `output` when the output exists or cannot be written, `numeric`
 * for NaN or Inf in weights or activations, `cancelled` when the signal fires.
 */
export async function quantize(options: QuantizeOptions): Promise<QuantizeReport> {
  return prepared(options, async (source) => {
    const writer = await (options.createWriter ?? createModelDirectory)(options.output);
    try {
      return await run(source, writer, options);
    } catch (error) {
      await writer.abort();
      throw error;
    }
  });
}

/**
 * Says what `quantize` would take, and throws what it would throw before any work; leaves nothing at `output`. `measure`: the time as well, from what the backend and the
 * method do in some tenths of a second.
 */
export async function checkQuantize(options: QuantizeOptions, { measure = false } = {}): Promise<RunPlan> {
  return prepared(options, async ({ source, formats, all, planned }) => {
    await (await (options.createWriter ?? createModelDirectory)(options.output)).abort();
    if (!measure) return planned;
    const lengths = all.map(({ tokens }) => tokens.length);
    const rates = await measureRates(source, formats, Math.max(...lengths), options);
    return { ...planned, ...timed(source.plan, formats, lengths, { ...options, rates }) };
  });
}

function timed(
  plan: ModelPlan,
  formats: ReadonlyMap<string, WeightFormat>,
  lengths: readonly number[],
  options: QuantizeOptions,
): Pick<RunPlan, 'time'> {
  const { rates, backend } = options;
  if (!rates) return {};
  const costs = costsOf(plan, weightSites(plan), formats, lengths[0]!, options);
  return { time: { ...planTime(plan, costs, lengths), backend: { id: backend.id, threads: backend.threads }, rates } };
}

/** A model that may be quantized so, opened. */
interface Prepared {
  readonly directory: ModelDirectory;
  readonly source: WeightSource;
  readonly card: SourceCard;
  readonly sites: readonly WeightSite[];
  /** By module. */
  readonly formats: ReadonlyMap<string, WeightFormat>;
  /** What runs through it; the output of the first is compared when the result is read back. */
  readonly all: readonly SequenceTokens[];
  readonly planned: RunPlan;
}

async function prepared<R>(options: QuantizeOptions, body: (found: Prepared) => Promise<R>): Promise<R> {
  const directory = await openModelDirectory(options.model);
  try {
    await refuseQuantized(directory);
    const source = await openWeights(directory);
    const { plan } = source;
    refuseEarly(plan, options);
    const sites = weightSites(plan);
    const formats = weightFormats(sites, options);
    const all = sequencesFor(plan, options);
    const lengths = all.map(({ tokens }) => tokens.length);
    const memory = await planMemory(plan, directory.checkpoint, sites, formats, lengths, options);
    const planned = { memory, ...timed(plan, formats, lengths, options) };
    return await body({ directory, source, card: await readSourceCard(directory), sites, formats, all, planned });
  } finally {
    await directory.close();
  }
}

/** The calibration windows. A probe goes first where there are none, or where inputs are rounded, which windows do not pass on (see `quantizeBlock`). */
function sequencesFor(plan: ModelPlan, { calibration, activation }: QuantizeOptions): SequenceTokens[] {
  if (!calibration) return [probe(plan)];
  return [...(activation ? [probe(plan)] : []), ...calibrating(calibration)];
}

async function refuseQuantized(directory: ModelDirectory): Promise<void> {
  if ((await quantizationConfig(directory)) === undefined) return;
  throw new FewbitError(
    'unsupported',
    'This model is quantized already (it has a quantization_config): start from the float checkpoint, or use fewbit convert.',
  );
}

async function run(
  { directory, source, card, sites, formats, all, planned }: Prepared,
  writer: CheckpointWriter & { readonly notes?: readonly string[] },
  options: QuantizeOptions,
): Promise<QuantizeReport> {
  const began = performance.now();
  const { method, activation, keyValues, observer = 'minmax', layout, backend, calibration, importance, output, seed = 0 } = options;
  const { plan } = source;
  const withFloat = method.solver.needs.some((statistic) => statistic.needsFloat);
  const lengths = all.map(({ tokens }) => tokens.length);
  const costs = costsOf(plan, sites, formats, lengths[0]!, options);
  const course = new Course(planTime(plan, costs, lengths).seconds, options.onProgress, options.signal);
  const columnGrouped = new Set<string>();
  const emit = async (module: string, rounded: QuantizedMatrix | Tensor, rounding?: ActivationRounding) => {
    if ('dtype' in rounded) return writer.write(`${module}.weight`, rounded);
    if (rounded.columnGroup) columnGrouped.add(module);
    for (const [name, tensor] of layout.pack(rounded, rounding)) await writer.write(`${module}.${name}`, tensor);
  };
  const emitKeyValues = async (attention: string, rounding: KeyValueRounding) => {
    for (const [name, tensor] of layout.keyValues!.pack(rounding)) await writer.write(`${attention}.${name}`, tensor);
  };
  const rounded = await course.step('solve', 'embeddings', costs.rounding, () => roundGlobals(source, sites, formats, importance, emit));
  const globals = await loadGlobals(rounded.source, backend);
  const { spilled, parts } = planned.memory;
  const keeping = spilled ? { beside: output } : memoryFor(parts.states, backend);
  let started: Started | undefined;
  try {
    started = await course.step('load', 'embeddings', costs.loading, () =>
      startSequences(source, globals, backend, all, { withFloat, keeping }),
    );
    const { sequences } = started;
    const layers: LayerReport[] = [...rounded.reports];
    for (const block of plan.blocks) {
      const found = await quantizeBlock(block, sequences, {
        outputsOf: block === plan.blocks.at(-1) ? [sequences[0]!] : sequences,
        source,
        backend,
        solver: method.solver,
        formats,
        layout,
        ...(importance && { importance }),
        activation,
        keyValues,
        observer,
        seed,
        course,
        costs,
        emit,
        emitKeyValues,
      });
      layers.push(...found.filter(({ name }) => formats.has(name)));
    }
    const expected = await course.step('verify', 'logits', costs.logits, () => expectedLogits(sequences[0]!));
    await course.step('write', output, 0, () =>
      writeRest(directory, writer, layout, sites, formats, { activation, keyValues, columnGrouped }),
    );
    const weights = sites.filter(({ module }) => formats.has(module)).reduce((sum, { rows, cols }) => sum + rows * cols, 0);
    const tensors = [...directory.checkpoint.tensors.values()];
    const parameters = tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
    const known = {
      method: method.id,
      layout: layout.id,
      ...(activation && { activations: activationName(activation) }),
      ...(keyValues && { keyValues: activationName(keyValues) }),
      bitsPerWeight: layers.reduce((sum, layer) => sum + layer.bytes * 8, 0) / weights,
      ...(calibration && {
        calibration: {
          source: calibration.source,
          sequences: calibration.windows.length,
          length: calibration.windows[0]?.length ?? 0,
          tokens: calibration.windows.reduce((sum, window) => sum + window.length, 0),
        },
      }),
      layers,
      kernels: backend.chosen,
    };
    let report: ReproducibleReport;
    const goOn = () => throwIfAborted(options.signal, output);
    await writer.commit(async (partial, { bytes }) => {
      const difference = await course.step('verify', output, costs.reading, () =>
        readBack(partial, layout, sequences[0]!.tokens, expected, backend, goOn),
      );
      const files = await course.step('verify', `${output}, hashes`, 0, () => fileDigests(partial, goOn));
      report = {
        ...known,
        bytes: { before: tensors.reduce((sum, tensor) => sum + tensor.bytes, 0), after: bytes },
        readBack: difference,
        notes: [...(options.createWriter ? [] : notesOn(plan)), ...(writer.notes ?? [])],
        files,
      };
      goOn();
      return { [modelCardFile]: quantizeCard(card, report, options, parameters) };
    });
    return {
      output,
      ...report!,
      seconds: (performance.now() - began) / 1000,
      peakMemory: process.resourceUsage().maxRSS * 1024,
      planned,
      phases: course.seconds,
      backend: { id: backend.id, description: backend.description, threads: backend.threads },
    };
  } finally {
    await started?.close();
    freeGlobals(globals, backend);
  }

  /** Of the model in memory, for the check of what was written. */
  async function expectedLogits({ quantized }: Sequence): Promise<Float32Array> {
    const logits = await logitsOf(source, globals, backend, quantized.residual);
    if (firstNonFinite(logits) < 0) return logits;
    throw new FewbitError('numeric', 'The rounded model gives logits with NaN or Inf: its weights are damaged, or overflow in float32.');
  }
}

/** What a reader of the result must know. */
function notesOn(plan: ModelPlan): string[] {
  const transposed = linears(plan).filter((linear) => linear.transposed);
  if (transposed.length === 0) return [];
  return [
    `${transposed.length} layers of this ${plan.architecture} are Conv1D in transformers, which compressed-tensors does not wrap: Fewbit reads this checkpoint, transformers and vLLM do not.`,
  ];
}
