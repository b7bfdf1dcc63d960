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
import {
  type ActivationRounding,
  type ActivationSpec,
  activationName,
  type FormatSpec,
  type KeyValueRounding,
  type Layout,
  type QuantizedMatrix,
  refusalOfOutliers,
} from '@fewbit/formats';
import { linears, type ModelPlan } from '@fewbit/models';
import { freeGlobals, headLogits, loadGlobals, openWeights, type WeightSource } from '@fewbit/runtime';
import { quantizeCard, type ReproducibleReport } from './card/quantize-card.js';
import { readSourceCard, type SourceCard } from './card/source-card.js';
import { Course, throwIfAborted } from './course.js';
import { quantizeBlock, type Sequence, solveWork, stageWork } from './quantize-block.js';
import { readBack } from './read-back.js';
import { roundGlobals } from './round-globals.js';
import { download, read, release, upload } from './sequence-state.js';
import { startSequences } from './start-sequences.js';
import type { LayerReport, QuantizeOptions, QuantizeReport } from './types.js';
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
  return prepared(options, async (directory, source, card) => {
    const writer = await (options.createWriter ?? createModelDirectory)(options.output);
    try {
      return await run(directory, source, card, writer, options);
    } catch (error) {
      await writer.abort();
      throw error;
    }
  });
}

/** Throws what `quantize` would throw before any work, and leaves nothing at `output`. */
export async function checkQuantize(options: Omit<QuantizeOptions, 'backend'>): Promise<void> {
  await prepared(options, async () => (await (options.createWriter ?? createModelDirectory)(options.output)).abort());
}

/** Runs `body` on a model that may be quantized so. */
async function prepared<R>(
  options: Omit<QuantizeOptions, 'backend'>,
  body: (directory: ModelDirectory, source: WeightSource, card: SourceCard) => Promise<R>,
): Promise<R> {
  const directory = await openModelDirectory(options.model);
  try {
    await refuseQuantized(directory);
    const source = await openWeights(directory);
    refuseEarly(source.plan, options);
    return await body(directory, source, await readSourceCard(directory));
  } finally {
    await directory.close();
  }
}

async function refuseQuantized(directory: ModelDirectory): Promise<void> {
  if ((await quantizationConfig(directory)) === undefined) return;
  throw new FewbitError(
    'unsupported',
    'This model is quantized already (it has a quantization_config): start from the float checkpoint, or use fewbit convert.',
  );
}

/** All that can be known before any work. */
function refuseEarly(
  plan: ModelPlan,
  { method, calibration, layout, format, activation, keyValues }: Omit<QuantizeOptions, 'backend'>,
): void {
  if (method.transforms.length > 0) {
    throw new FewbitError('unsupported', `Method ${method.id} has transforms, which this pipeline does not apply.`);
  }
  if (method.solver.needs.length > 0 && !calibration) {
    throw new FewbitError('usage', `Method ${method.id} measures the layers' inputs: give calibration text (--calibration FILE).`);
  }
  const formats = weightFormats(weightSites(plan), { layout, format });
  const why = method.solver.outliers ? refusalOfOutliers(layout) : undefined;
  if (why) throw new FewbitError('unsupported', `Layout ${layout.id} cannot hold what method ${method.id} keeps beside the codes: ${why}`);
  if (activation)
    for (const chosen of formats.values())
      if (typeof chosen !== 'string') refuseActivation(activation, layout, chosen, calibration !== undefined);
  if (keyValues) {
    const why = layout.keyValues ? layout.keyValues.rejects(keyValues) : 'its files say nothing of them; use compressed-tensors.';
    const how = activationName(keyValues);
    if (why) throw new FewbitError('unsupported', `Layout ${layout.id} cannot round keys and values as ${how}: ${why}`);
    if (keyValues.scaling === 'static') refuseUncalibrated('keys and values', calibration !== undefined);
  }
}

function refuseActivation(activation: ActivationSpec, layout: Layout, format: FormatSpec, calibrated: boolean): void {
  const why = layout.rejectsActivation
    ? layout.rejectsActivation(activation, format)
    : 'its files say nothing of inputs; use compressed-tensors.';
  if (why) throw new FewbitError('unsupported', `Layout ${layout.id} cannot round inputs as ${activationName(activation)}: ${why}`);
  if (activation.scaling !== 'dynamic') refuseUncalibrated('activations', calibrated);
}

function refuseUncalibrated(what: string, calibrated: boolean): void {
  if (!calibrated) throw new FewbitError('usage', `Static scales of ${what} are measured: give calibration text (--calibration FILE).`);
}

async function run(
  directory: ModelDirectory,
  source: WeightSource,
  card: SourceCard,
  writer: CheckpointWriter & { readonly notes?: readonly string[] },
  options: QuantizeOptions,
): Promise<QuantizeReport> {
  const started = performance.now();
  const { method, activation, keyValues, observer = 'minmax', layout, backend, calibration, importance, output, seed = 0 } = options;
  const { plan } = source;
  const sites = weightSites(plan);
  const formats = weightFormats(sites, options);
  const withFloat = method.solver.needs.some((statistic) => statistic.needsFloat);
  const course = new Course(totalWork(plan, options), options.onProgress, options.signal);
  const columnGrouped = new Set<string>();
  const emit = async (module: string, rounded: QuantizedMatrix | Tensor, rounding?: ActivationRounding) => {
    if ('dtype' in rounded) return writer.write(`${module}.weight`, rounded);
    if (rounded.columnGroup) columnGrouped.add(module);
    for (const [name, tensor] of layout.pack(rounded, rounding)) await writer.write(`${module}.${name}`, tensor);
  };
  const emitKeyValues = async (attention: string, rounding: KeyValueRounding) => {
    for (const [name, tensor] of layout.keyValues!.pack(rounding)) await writer.write(`${attention}.${name}`, tensor);
  };
  const rounded = await course.step('solve', 'embeddings', 0, () => roundGlobals(source, sites, formats, importance, emit));
  const sequences: Sequence[] = [];
  const globals = await loadGlobals(rounded.source, backend);
  try {
    await course.step('load', 'embeddings', 0, () =>
      startSequences(source, globals, backend, calibration?.windows ?? [], withFloat, sequences),
    );
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
        emit,
        emitKeyValues,
      });
      layers.push(...found.filter(({ name }) => formats.has(name)));
    }
    const expected = await course.step('verify', 'logits', 0, () => logitsOf(sequences[0]!));
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
      const difference = await course.step('verify', output, 0, () =>
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
      seconds: (performance.now() - started) / 1000,
      peakMemory: process.resourceUsage().maxRSS * 1024,
      phases: course.seconds,
    };
  } finally {
    for (const { quantized, float } of sequences) for (const state of [quantized, float]) if (state) release(backend, state);
    freeGlobals(globals, backend);
  }

  /** The model in memory, for the check of what was written. */
  async function logitsOf({ quantized }: Sequence): Promise<Float32Array> {
    const hidden = upload(backend, await read(backend, quantized.residual));
    const logits = backend.step(() => headLogits(plan, globals, backend, hidden));
    const { data } = await download(backend, logits);
    backend.free(hidden);
    backend.free(logits);
    if (firstNonFinite(data) >= 0) {
      throw new FewbitError('numeric', 'The rounded model gives logits with NaN or Inf: its weights are damaged, or overflow in float32.');
    }
    return data;
  }
}

/** In the unit of `stageWork`, for the progress. */
function totalWork(plan: ModelPlan, { calibration, method }: QuantizeOptions): number {
  const tokens = calibration?.windows.reduce((sum, window) => sum + window.length, 0) ?? 64;
  const solving = method.solver.needs.length > 0 ? 1 : 0;
  return plan.blocks.reduce((sum, block) => {
    const forward = stageWork(block) * (block.sites.length + 1) * tokens;
    return sum + forward + solving * block.sites.flatMap((site) => site.linears).reduce((work, linear) => work + solveWork(linear), 0);
  }, 1);
}

/** What a reader of the result must know. */
function notesOn(plan: ModelPlan): string[] {
  const transposed = linears(plan).filter((linear) => linear.transposed);
  if (transposed.length === 0) return [];
  return [
    `${transposed.length} layers of this ${plan.architecture} are Conv1D in transformers, which compressed-tensors does not wrap: Fewbit reads this checkpoint, transformers and vLLM do not.`,
  ];
}
