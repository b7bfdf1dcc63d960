import { basename } from 'node:path';
import { openModelDirectory } from '@fewbit/checkpoint';
import { activationName, outlierBits } from '@fewbit/formats';
import type { Backend } from '@fewbit/kernels';
import { planModel } from '@fewbit/models';
import {
  checkQuantize,
  measureImportance,
  type Progress,
  type QuantizeOptions,
  type QuantizeReport,
  quantize,
  type RunPlan,
  storedBits,
  weightFormatName,
  weightFormats,
  weightSites,
} from '@fewbit/pipeline';
import { parseActivation, parseKeyValues } from './activations.js';
import { checkFormatName, chooseFormat } from './choose-format.js';
import { readImportance } from './imatrix.js';
import { findLayout } from './layouts.js';
import { createMethod } from './methods.js';
import { readCalibration } from './read-calibration.js';
import { parseRecipe, type Recipe, type RecipeInput } from './recipe.js';
import { requireTarget } from './targets.js';
import type { QuantizePlan } from './types.js';

/** A recipe with the model to read and the directory to write. */
export type QuantizeJob = RecipeInput & { readonly model: string; readonly output: string };

/** What a job may take of the machine. */
export interface QuantizeLimits {
  readonly backend: Backend;
  /** Bytes that the process may take in all. Default: what it takes already and 80 % of what is available. */
  readonly maxMemory?: number;
}

export interface QuantizeRun extends QuantizeLimits {
  readonly signal?: AbortSignal;
  /** Hears what the run will take, before any work. Its time is measured first where this or `onProgress` is given. */
  readonly onPlan?: (plan: RunPlan) => void;
  readonly onProgress?: (progress: Progress) => void;
}

/** Runs a recipe on a model directory. Throws what `parseRecipe` and the pipeline's `quantize` throw. */
export async function quantizePretrained(job: QuantizeJob, { onPlan, ...run }: QuantizeRun): Promise<QuantizeReport> {
  const { measures, ...prepared } = await prepare(job);
  const isHeard = onPlan !== undefined || run.onProgress !== undefined;
  const planned = measures || isHeard ? await checkQuantize({ ...prepared, ...run }, { measure: isHeard }) : undefined;
  if (planned) onPlan?.(planned);
  const options = { ...prepared, ...run, ...(planned?.time && { rates: planned.time.rates }) };
  if (!measures) return quantize(options);
  // the first half of the progress is the measurement
  const half = (from: number) =>
    run.onProgress && { onProgress: (at: Progress) => run.onProgress!({ ...at, fraction: from + at.fraction / 2 }) };
  const spill = planned!.memory.spilled && { spill: options.output };
  const importance = await measureImportance({ model: options.model, calibration: options.calibration!, ...run, ...spill, ...half(0) });
  return quantize({ ...options, importance: (module) => importance.get(module), ...half(0.5) });
}

/** Checks a job (model, recipe, calibration text, output) as a run would before any work, and says what it would do and take; leaves nothing. */
export async function planQuantize(job: QuantizeJob, limits: QuantizeLimits): Promise<QuantizePlan> {
  const prepared = await prepare(job);
  const planned = await checkQuantize({ ...prepared, ...limits }, { measure: true });
  const { model, output, method, activation, keyValues, layout, calibration } = prepared;
  const directory = await openModelDirectory(model);
  try {
    const plan = planModel(directory.config);
    const sites = weightSites(plan);
    const formats = weightFormats(sites, prepared);
    const rounded = sites.filter(({ module }) => formats.has(module));
    const tensors = directory.checkpoint.tensors;
    const before = [...tensors.values()].reduce((sum, tensor) => sum + tensor.bytes, 0);
    const float = rounded.reduce((sum, { module }) => sum + (tensors.get(`${module}.weight`)?.bytes ?? 0), 0);
    const outliers = method.solver.outliers ?? 0;
    const bitsOfOutliers = (rows: number, cols: number) =>
      outliers > 0 ? outlierBits(Math.round(outliers * rows * cols), rows, cols, 'F16') : 0;
    const bits = rounded.reduce(
      (sum, { module, rows, cols }) => sum + storedBits(formats.get(module)!, rows, cols) + bitsOfOutliers(rows, cols),
      0,
    );
    return {
      model,
      output,
      method: method.id,
      format: [...new Set([...formats.values()].map(weightFormatName))].join(', '),
      ...(outliers > 0 && { outliers }),
      ...(activation && { activations: activationName(activation) }),
      ...(keyValues && { keyValues: activationName(keyValues) }),
      layout: layout.id,
      layers: rounded.length,
      parameters: rounded.reduce((sum, { rows, cols }) => sum + rows * cols, 0),
      bytes: { before, after: before - float + Math.ceil(bits / 8) },
      ...(calibration && { calibrationTokens: calibration.windows.reduce((sum, window) => sum + window.length, 0) }),
      ...planned,
    };
  } finally {
    await directory.close();
  }
}

type Prepared = Omit<QuantizeOptions, 'backend' | 'signal' | 'onProgress'> & {
  /** The importance of the inputs is to be measured on the calibration text first. */
  readonly measures: boolean;
};

async function prepare({ model, output, ...rest }: QuantizeJob): Promise<Prepared> {
  const recipe = parseRecipe(rest);
  const method = createMethod(recipe.method, {
    ...recipe.methodOptions,
    ...(recipe.outliers !== undefined && { outliers: recipe.outliers }),
  });
  const layout = findLayout(recipe.layout);
  checkFormatName(recipe, layout);
  const asked = parseActivation(recipe.activations);
  const keyValues = parseKeyValues(recipe.kv);
  const directory = await openModelDirectory(model);
  try {
    const plan = planModel(directory.config);
    const chosen = await chooseFormat(recipe, layout, directory, plan);
    const activation = asked ?? (typeof chosen.format === 'function' ? undefined : layout.impliedActivation?.(chosen.format));
    if (recipe.target !== undefined) {
      const formats = weightFormats(weightSites(plan), { layout, format: chosen.format });
      const format = (module: string) => {
        const found = formats.get(module);
        return typeof found === 'string' ? undefined : found;
      };
      requireTarget(recipe.target, { layout: layout.id, plan, format, activation: () => activation, ...(keyValues && { keyValues }) });
    }
    const importance = typeof recipe.imatrix === 'string' ? await readImportance(recipe.imatrix, directory, plan) : undefined;
    const calibration = recipe.calibration && (await readCalibration(recipe.calibration, recipe.seed, directory, plan));
    return {
      model,
      output,
      method,
      ...chosen,
      layout,
      seed: recipe.seed,
      measures: recipe.imatrix === true,
      recipe: portable(recipe),
      ...(importance && { importance }),
      ...(activation && { activation }),
      ...(keyValues && { keyValues }),
      ...(recipe.observer && { observer: recipe.observer }),
      ...(calibration && { calibration }),
    };
  } finally {
    await directory.close();
  }
}

/** Without the folders of this machine. */
function portable({ calibration, imatrix, ...rest }: Recipe): Record<string, unknown> {
  return {
    ...rest,
    ...(calibration && { calibration: { ...calibration, path: basename(calibration.path) } }),
    ...(imatrix !== undefined && { imatrix: imatrix === true || basename(imatrix) }),
  };
}
