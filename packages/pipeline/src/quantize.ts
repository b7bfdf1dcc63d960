import {
  type CheckpointWriter,
  createModelDirectory,
  type ModelDirectory,
  openModelDirectory,
  quantizationConfig,
} from '@fewbit/checkpoint';
import { FewbitError, firstNonFinite } from '@fewbit/core';
import { type ActivationSpec, activationName, type FormatSpec, type Layout } from '@fewbit/formats';
import { linears, type ModelPlan } from '@fewbit/models';
import { freeGlobals, headLogits, loadGlobals, openWeights, type WeightSource } from '@fewbit/runtime';
import { Course } from './course.js';
import { download, upload } from './host-state.js';
import { quantizeBlock, type Sequence, solveWork, stageWork } from './quantize-block.js';
import { readBack } from './read-back.js';
import { startSequences } from './start-sequences.js';
import type { LayerReport, QuantizeOptions, QuantizeReport } from './types.js';
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
  return prepared(options, async (directory, source) => {
    const writer = await createModelDirectory(options.output);
    try {
      return await run(directory, source, writer, options);
    } catch (error) {
      await writer.abort();
      throw error;
    }
  });
}

/** Throws what `quantize` would throw before any work, and leaves nothing at `output`. */
export async function checkQuantize(options: Omit<QuantizeOptions, 'backend'>): Promise<void> {
  await prepared(options, async () => (await createModelDirectory(options.output)).abort());
}

/** Runs `body` on a model that may be quantized so. */
async function prepared<R>(
  options: Omit<QuantizeOptions, 'backend'>,
  body: (directory: ModelDirectory, source: WeightSource) => Promise<R>,
): Promise<R> {
  const directory = await openModelDirectory(options.model);
  try {
    await refuseQuantized(directory);
    const source = await openWeights(directory);
    refuseEarly(source.plan, options);
    return await body(directory, source);
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
function refuseEarly(plan: ModelPlan, { method, calibration, layout, format, activation }: Omit<QuantizeOptions, 'backend'>): void {
  if (method.transforms.length > 0) {
    throw new FewbitError('unsupported', `Method ${method.id} has transforms, which this pipeline does not apply.`);
  }
  if (method.solver.needs.length > 0 && !calibration) {
    throw new FewbitError('usage', `Method ${method.id} measures the layers' inputs: give calibration text (--calibration FILE).`);
  }
  if (activation) refuseActivation(activation, layout, format, calibration !== undefined);
  const refused = linears(plan)
    .map(({ module, rows, cols }) => ({ module, why: layout.rejects(format, rows, cols) }))
    .filter(({ why }) => why);
  if (refused.length > 0) {
    throw new FewbitError(
      'unsupported',
      `Layout ${layout.id} cannot hold ${refused[0]!.module} (and ${refused.length - 1} more): ${refused[0]!.why}`,
    );
  }
}

function refuseActivation(activation: ActivationSpec, layout: Layout, format: FormatSpec, calibrated: boolean): void {
  const why = layout.rejectsActivation
    ? layout.rejectsActivation(activation, format)
    : 'its files say nothing of inputs; use compressed-tensors.';
  if (why) throw new FewbitError('unsupported', `Layout ${layout.id} cannot round inputs as ${activationName(activation)}: ${why}`);
  if (activation.scaling === 'static' && !calibrated) {
    throw new FewbitError('usage', 'Static scales of activations are measured: give calibration text (--calibration FILE).');
  }
}

async function run(
  directory: ModelDirectory,
  source: WeightSource,
  writer: CheckpointWriter,
  options: QuantizeOptions,
): Promise<QuantizeReport> {
  const started = performance.now();
  const { method, format, activation, observer = 'minmax', layout, backend, calibration, output, seed = 0 } = options;
  const { plan } = source;
  const withFloat = method.solver.needs.some((statistic) => statistic.needsFloat);
  const course = new Course(totalWork(plan, options), options.onProgress, options.signal);
  const globals = await loadGlobals(source, backend);
  try {
    const sequences = await course.step('load', 'embeddings', 0, () =>
      startSequences(source, globals, backend, calibration?.windows ?? [], withFloat),
    );
    const layers: LayerReport[] = [];
    const columnGrouped = new Set<string>();
    for (const block of plan.blocks) {
      const reports = await quantizeBlock(block, sequences, {
        source,
        backend,
        solver: method.solver,
        spec: format,
        activation,
        observer,
        seed,
        course,
        emit: async ({ module }, matrix, rounding) => {
          if (matrix.columnGroup) columnGrouped.add(module);
          for (const [name, tensor] of layout.pack(matrix, rounding)) await writer.write(`${module}.${name}`, tensor);
        },
      });
      layers.push(...reports);
    }
    const expected = await course.step('verify', 'logits', 0, () => logitsOf(sequences[0]!));
    await course.step('write', output, 0, () => writeRest(directory, plan, writer, layout, format, { activation, columnGrouped }));
    let difference = 0;
    const { bytes } = await writer.commit(async (partial) => {
      difference = await course.step('verify', output, 0, () => readBack(partial, layout, sequences[0]!.tokens, expected, backend));
    });

    const weights = linears(plan).reduce((sum, { rows, cols }) => sum + rows * cols, 0);
    return {
      output,
      method: method.id,
      layout: layout.id,
      ...(activation && { activations: activationName(activation) }),
      bytes: { before: [...directory.checkpoint.tensors.values()].reduce((sum, tensor) => sum + tensor.bytes, 0), after: bytes },
      bitsPerWeight: layers.reduce((sum, layer) => sum + layer.bytes * 8, 0) / weights,
      seconds: (performance.now() - started) / 1000,
      peakMemory: process.resourceUsage().maxRSS * 1024,
      ...(calibration && {
        calibration: {
          source: calibration.source,
          sequences: calibration.windows.length,
          length: calibration.windows[0]?.length ?? 0,
          tokens: calibration.windows.reduce((sum, window) => sum + window.length, 0),
        },
      }),
      layers,
      phases: course.seconds,
      kernels: backend.chosen,
      readBack: difference,
      notes: notesOn(plan),
    };
  } finally {
    freeGlobals(globals, backend);
  }

  /** The model in memory, for the check of what was written. */
  async function logitsOf({ quantized }: Sequence): Promise<Float32Array> {
    const hidden = upload(backend, quantized.residual);
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
