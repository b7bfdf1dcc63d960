import { basename } from 'node:path';
import { type CalibrationSet, calibrationWindows, readDocuments } from '@fewbit/calibration';
import { type ModelDirectory, openModelDirectory } from '@fewbit/checkpoint';
import { FewbitError } from '@fewbit/core';
import { activationName } from '@fewbit/formats';
import type { Backend } from '@fewbit/kernels';
import { type ModelPlan, planModel } from '@fewbit/models';
import {
  checkQuantize,
  type Progress,
  type QuantizeOptions,
  type QuantizeReport,
  quantize,
  storedBits,
  weightFormatName,
  weightFormats,
  weightSites,
} from '@fewbit/pipeline';
import { openTokenizer } from '@fewbit/tokenizer';
import { parseActivation, parseKeyValues } from './activations.js';
import { checkFormatName, chooseFormat, readImportance } from './choose-format.js';
import { findLayout } from './layouts.js';
import { createMethod } from './methods.js';
import { parseRecipe, type Recipe, type RecipeInput } from './recipe.js';
import { requireTarget } from './targets.js';
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
    const bits = rounded.reduce((sum, { module, rows, cols }) => sum + storedBits(formats.get(module)!, rows, cols), 0);
    return {
      model,
      output,
      method: method.id,
      format: [...new Set([...formats.values()].map(weightFormatName))].join(', '),
      ...(activation && { activations: activationName(activation) }),
      ...(keyValues && { keyValues: activationName(keyValues) }),
      layout: layout.id,
      layers: rounded.length,
      parameters: rounded.reduce((sum, { rows, cols }) => sum + rows * cols, 0),
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
  checkFormatName(recipe, layout);
  const asked = parseActivation(recipe.activations);
  const keyValues = parseKeyValues(recipe.kv);
  const directory = await openModelDirectory(model);
  try {
    const plan = planModel(directory.config);
    const chosen = await chooseFormat(recipe, layout, directory, plan);
    if (recipe.target !== undefined) {
      const formats = weightFormats(weightSites(plan), { layout, format: chosen.format });
      const format = (module: string) => {
        const found = formats.get(module);
        return typeof found === 'string' ? undefined : found;
      };
      requireTarget(recipe.target, { layout: layout.id, plan, format, ...(keyValues && { keyValues }) });
    }
    const importance = recipe.imatrix === undefined ? undefined : await readImportance(recipe.imatrix, directory, plan);
    const calibration = recipe.calibration && (await readCalibration(recipe.calibration, recipe.seed, directory, plan));
    const activation = asked ?? (typeof chosen.format === 'function' ? undefined : layout.impliedActivation?.(chosen.format));
    return {
      model,
      output,
      method,
      ...chosen,
      layout,
      seed: recipe.seed,
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
    ...(imatrix !== undefined && { imatrix: basename(imatrix) }),
  };
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
