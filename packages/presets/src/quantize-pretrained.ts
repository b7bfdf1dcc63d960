import { type CalibrationSet, calibrationWindows, readDocuments } from '@fewbit/calibration';
import { type ModelDirectory, openModelDirectory } from '@fewbit/checkpoint';
import { FewbitError } from '@fewbit/core';
import { activationName, createFormat, formatName, type IntSpec, type Layout } from '@fewbit/formats';
import type { Backend } from '@fewbit/kernels';
import { linears, type ModelPlan, planModel } from '@fewbit/models';
import { checkQuantize, type Progress, type QuantizeOptions, type QuantizeReport, quantize } from '@fewbit/pipeline';
import { openTokenizer } from '@fewbit/tokenizer';
import { parseActivation } from './activations.js';
import { parseFormat } from './formats.js';
import { findLayout } from './layouts.js';
import { createMethod } from './methods.js';

import { parseRecipe, type RecipeInput } from './recipe.js';
import type { QuantizePlan } from './types.js';

/** A recipe with the model to read and the directory to write. */
export type QuantizeJob = RecipeInput & { readonly model: string; readonly output: string };

/** Runs a recipe on a model directory. Throws what `parseRecipe` and the pipeline's `quantize` throw. */
export async function quantizePretrained(
  job: QuantizeJob,
  run: { backend: Backend; signal?: AbortSignal; onProgress?: (progress: Progress) => void },
): Promise<QuantizeReport> {
  return quantize({ ...(await prepare(job)), ...run });
}

/** Checks a job (model, recipe, calibration text, output) as a run would before any work, and says what it would do; leaves nothing. */
export async function planQuantize(job: QuantizeJob): Promise<QuantizePlan> {
  const prepared = await prepare(job);
  await checkQuantize(prepared);
  const { model, output, method, format, activation, layout, calibration } = prepared;
  const directory = await openModelDirectory(model);
  try {
    const plan = planModel(directory.config);
    const layers = linears(plan);
    const before = [...directory.checkpoint.tensors.values()].reduce((sum, tensor) => sum + tensor.bytes, 0);
    const float = layers.reduce((sum, { module }) => sum + (directory.checkpoint.tensors.get(`${module}.weight`)?.bytes ?? 0), 0);
    const bits = layers.reduce((sum, { rows, cols }) => sum + createFormat(format).storedBits(rows, cols), 0);
    return {
      model,
      output,
      method: method.id,
      format: formatName(format),
      ...(activation && { activations: activationName(activation) }),
      layout: layout.id,
      layers: layers.length,
      parameters: layers.reduce((sum, { rows, cols }) => sum + rows * cols, 0),
      bytes: { before, after: before - float + Math.ceil(bits / 8) },
      ...(calibration && { calibrationTokens: calibration.windows.reduce((sum, window) => sum + window.length, 0) }),
    };
  } finally {
    await directory.close();
  }
}

type Prepared = Omit<QuantizeOptions, 'backend' | 'signal' | 'onProgress'>;

async function prepare({ model, output, ...rest }: QuantizeJob): Promise<Prepared> {
  const recipe = parseRecipe(rest);
  const method = createMethod(recipe.method, recipe.methodOptions);
  const layout = findLayout(recipe.layout);
  parseFormat(recipe, 'F32'); // a wrong name is said before a model is looked for
  const asked = parseActivation(recipe.activations);
  const directory = await openModelDirectory(model);
  try {
    const plan = planModel(directory.config);
    const format = parseFormat(recipe, scaleType(directory, plan, layout));
    const calibration = recipe.calibration && (await readCalibration(recipe.calibration, recipe.seed, directory, plan));
    const activation = asked ?? layout.impliedActivation?.(format);
    return {
      model,
      output,
      method,
      format,
      layout,
      seed: recipe.seed,
      ...(activation && { activation }),
      ...(recipe.observer && { observer: recipe.observer }),
      ...(calibration && { calibration }),
    };
  } finally {
    await directory.close();
  }
}

/** Engines load scales in the model's own dtype, where the layout does not have one of its own. */
function scaleType({ checkpoint }: ModelDirectory, plan: ModelPlan, { scaleTypes }: Layout): IntSpec['scaleType'] {
  const dtype = checkpoint.tensors.get(`${linears(plan)[0]!.module}.weight`)?.dtype;
  const own = dtype === 'BF16' || dtype === 'F16' ? dtype : 'F32';
  return !scaleTypes || scaleTypes.includes(own) ? own : scaleTypes[0]!;
}

async function readCalibration(
  {
    path,
    samples,
    length,
    sampling,
  }: { path: string; samples?: number | undefined; length?: number | undefined; sampling?: 'spread' | 'first' | 'random' | undefined },
  seed: number,
  directory: ModelDirectory,
  { maxPositions }: ModelPlan,
): Promise<CalibrationSet> {
  if (length !== undefined && length > maxPositions) {
    throw new FewbitError('usage', `Calibration windows of ${length} tokens are longer than the ${maxPositions} positions of this model.`);
  }
  const tokenizer = await openTokenizer(directory);
  return calibrationWindows({
    documents: await readDocuments(path),
    tokenizer: { encode: (text) => tokenizer.encode(text, { addSpecialTokens: true }) },
    length: length ?? Math.min(2048, maxPositions),
    seed,
    source: path,
    ...(samples !== undefined && { samples }),
    ...(sampling !== undefined && { sampling }),
  });
}
