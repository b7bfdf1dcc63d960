import { outputError, type Solver } from '@fewbit/algorithm';
import { type Gathering, gather, gram, inputHistogram, type Measured, type Observer, staticParams } from '@fewbit/calibration';
import { FewbitError, type FloatDType, type Matrix, type Tensor } from '@fewbit/core';
import {
  type ActivationRounding,
  type ActivationSpec,
  activationName,
  decodeMatrix,
  type FormatSpec,
  type KeyValueRounding,
  type Layout,
  type NumericFormat,
  type QuantizedMatrix,
  roundActivations,
} from '@fewbit/formats';
import type { Backend, DeviceTensor } from '@fewbit/kernels';
import { attentionModule, type BlockPlan, type LinearPlan, type Site } from '@fewbit/models';
import { blockStages, freeBlock, loadBlock, type WeightSource } from '@fewbit/runtime';
import type { Course } from './course.js';
import { keyValueRounding } from './key-value-rounding.js';
import { upload } from './place.js';
import type { Costs } from './plan/costs.js';
import { reportOn, storeFloat } from './round-weight.js';
import { advance } from './sequence-state.js';
import { siteFormats } from './site-formats.js';
import type { Sequence } from './start-sequences.js';
import type { LayerReport, QuantizeOptions, WeightFormat } from './types.js';

export interface BlockOptions {
  /** The sequences whose outputs of the block are wanted. */
  readonly outputsOf: readonly Sequence[];
  readonly source: WeightSource;
  readonly backend: Backend;
  readonly solver: Solver;
  /** By module; a linear without one stays as it is. */
  readonly formats: ReadonlyMap<string, WeightFormat>;
  /** It will hold what is rounded. */
  readonly layout: Layout;
  readonly importance?: QuantizeOptions['importance'];
  readonly activation: ActivationSpec | undefined;
  readonly keyValues: ActivationSpec | undefined;
  readonly observer: Observer;
  readonly seed: number;
  readonly course: Course;
  /** Of its steps. */
  readonly costs: Costs;
  /** Takes each matrix as soon as it is rounded: its codes and how its inputs are rounded, or its weight in float. */
  readonly emit: (module: string, rounded: QuantizedMatrix | Tensor, rounding?: ActivationRounding) => Promise<void>;
  /** Takes how a block's keys and values are rounded. */
  readonly emitKeyValues: (attention: string, rounding: KeyValueRounding) => Promise<void>;
}

const plainGram = gram();
const histogram = inputHistogram();

/**
 * Rounds every linear of a block, stage by stage: all sequences run up to a site, the site's linears are
 * rounded on what was measured there, and the sequences go on through the rounded weights. That is GPTQ's
 * true-sequential order, with quantized inputs passed on, for the price of one forward pass.
 * Calibrating sequences do not pass on what the rounding of inputs does to outputs: it is noise, and a target that follows the float stream
 * would learn it by heart (docs/decisions/gptq-rounded-inputs.md).
 * On return the sequences of `outputsOf` hold the block's outputs.
 */
export async function quantizeBlock(block: BlockPlan, sequences: readonly Sequence[], options: BlockOptions): Promise<LayerReport[]> {
  const { source, backend, solver, course, costs } = options;
  const original = await loadBlock(source, block, backend);
  const rounded = new Map<string, DeviceTensor>(original);
  const activations = new Map<string, ActivationRounding>();
  const reports: LayerReport[] = [];
  let keyValues: KeyValueRounding | undefined;
  const calibrates = sequences.some((sequence) => sequence.calibrates);
  try {
    for (const [index, stage] of blockStages(block).entries()) {
      const site = stage.site;
      const at = `${block.prefix} ${site?.id ?? 'output'}`;
      const gathering = site && gather(calibrates ? [...solver.needs, plainGram] : [], site.linears[0]!.cols, backend.algebra);
      const isStored = options.activation !== undefined && options.activation.scaling !== 'dynamic';
      let rounding = options.activation && !isStored ? { spec: options.activation } : undefined;
      for (const sequence of site ? sequences : options.outputsOf) {
        const rows = sequence.tokens.length;
        await course.step('calibrate', at, costs.stage(block, index, rows), async () => {
          const roundsInputs = !sequence.calibrates && { activations };
          await advance(stage, rows, sequence.quantized, { backend, weights: rounded, ...roundsInputs, ...(keyValues && { keyValues }) });
          if (sequence.float) await advance(stage, rows, sequence.float, { backend, weights: original });
          // at once, while the inputs are in the processor's caches
          if (gathering && sequence.calibrates && !isStored) await measure(gathering, sequence, rounding, at);
        });
      }
      if (!site || !gathering) continue;
      const calibrating = sequences.filter((sequence) => sequence.calibrates);
      if (isStored) {
        rounding = await storedRounding(options.activation!, site, calibrating, at, options);
        for (const sequence of calibrating) await course.step('calibrate', at, 0, () => measure(gathering, sequence, rounding, at));
      }
      if (rounding) for (const { module } of site.linears) activations.set(module, rounding);
      const measured = gathering.measured();
      const shared = await siteFormats(site, specIn(options.formats), (module) => source.linear(module), options.layout);
      for (const linear of site.linears) {
        const { report, decoded } = await course.step('solve', linear.module, costs.layer(site, linear), () =>
          roundLinear(linear, shared.get(linear.module), measured, calibrates, rounding, options),
        );
        reports.push(report);
        rounded.set(`${linear.module}.weight`, upload(backend, decoded));
      }
      if (site !== block.sites[0] || !options.keyValues) continue;
      const context = { backend, weights: rounded, activations };
      keyValues = await course.step('calibrate', at, 0, () =>
        keyValueRounding(block, options.keyValues!, calibrating, context, options.observer),
      );
      await options.emitKeyValues(attentionModule(block), keyValues);
    }
    return reports;
  } finally {
    for (const [name, tensor] of rounded) if (original.get(name) !== tensor) backend.free(tensor);
    freeBlock(original, backend);
  }
}

/** A stored scale covers what the calibrating sequences bring to the site. */
async function storedRounding(
  spec: ActivationSpec,
  site: Site,
  calibrating: readonly Sequence[],
  at: string,
  { observer, backend }: BlockOptions,
): Promise<ActivationRounding> {
  const gathering = gather([histogram], site.linears[0]!.cols, backend.algebra);
  for (const sequence of calibrating) await measure(gathering, sequence, undefined, at);
  return { spec, params: staticParams(gathering.measured().get(histogram), spec.format, observer) };
}

/** Statistics see what the layers will see: rounded inputs, where they are rounded. The float input takes part in that rounding's error, so that the two differ by the drift of the streams alone. */
export async function measure(
  gathering: Gathering,
  { quantized, float }: Sequence,
  rounding: ActivationRounding | undefined,
  at: string,
): Promise<void> {
  const seen = await quantized.input.read();
  const floatInput = await float?.input.read();
  try {
    const input = rounding ? roundActivations(seen, rounding) : seen;
    gathering.add({ input, ...(floatInput && { floatInput: rounding ? shifted(floatInput, seen, input) : floatInput }) });
  } catch (error) {
    if (FewbitError.is(error)) throw new FewbitError(error.code, `${at}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** x + to − from. */
function shifted(x: Matrix, from: Matrix, to: Matrix): Matrix {
  const data = new Float32Array(x.data.length);
  for (let i = 0; i < data.length; i++) data[i] = x.data[i]! + (to.data[i]! - from.data[i]!);
  return { rows: x.rows, cols: x.cols, data };
}

function specIn(formats: BlockOptions['formats']): (module: string) => FormatSpec | undefined {
  return (module) => {
    const chosen = formats.get(module);
    return typeof chosen === 'string' ? undefined : chosen;
  };
}

async function roundLinear(
  linear: LinearPlan,
  format: NumericFormat | undefined,
  input: Measured,
  calibrated: boolean,
  rounding: ActivationRounding | undefined,
  options: BlockOptions,
): Promise<{ report: LayerReport; decoded: Matrix }> {
  const { source, backend, formats, importance, seed, solver, emit } = options;
  const weight = await source.linear(linear.module);
  const outputErrorOf = (decoded: Matrix) =>
    calibrated && { outputError: outputError(weight, decoded, input.get(plainGram), backend.algebra) };
  if (!format) {
    const chosen = formats.get(linear.module) as FloatDType | undefined;
    const { tensor, decoded } = storeFloat(weight, chosen ?? 'F32', linear.transposed);
    if (chosen !== undefined) await emit(linear.module, tensor);
    return { decoded, report: { ...reportOn(linear.module, weight, decoded, chosen ?? 'F32', []), ...outputErrorOf(decoded) } };
  }
  const weights = importance?.(linear.module);
  if (weights && weights.length !== weight.cols) {
    throw new FewbitError(
      'calibration',
      `The importance of ${linear.module} has ${weights.length} inputs, the matrix ${weight.cols}: it is of another model.`,
    );
  }
  const { matrix, notes } = await solver.solve({
    name: `${linear.module}.weight`,
    weight,
    format,
    input,
    ...(weights && { importance: weights }),
    algebra: backend.algebra,
    seed,
  });
  const decoded = decodeMatrix(matrix);
  await emit(linear.module, matrix, rounding);
  return {
    decoded,
    report: {
      ...reportOn(linear.module, weight, decoded, matrix, notes),
      ...(rounding && { activation: activationName(rounding.spec) }),
      ...outputErrorOf(decoded),
    },
  };
}
