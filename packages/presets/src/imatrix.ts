import { lstat } from 'node:fs/promises';
import { basename } from 'node:path';
import { ggufWeightName, type ModelDirectory, openModelDirectory, readImatrix, writeImatrix } from '@fewbit/checkpoint';
import { FewbitError } from '@fewbit/core';
import type { Backend } from '@fewbit/kernels';
import { linears, type ModelPlan, planModel } from '@fewbit/models';
import { measureImportance, type Progress, type QuantizeOptions } from '@fewbit/pipeline';
import { layouts } from './layouts.js';
import { type CalibrationChoice, readCalibration } from './read-calibration.js';

export interface ImatrixJob {
  readonly model: string;
  /** A file that does not exist; `.dat` is llama.cpp's old form, another name the GGUF form. */
  readonly output: string;
  readonly calibration: CalibrationChoice;
  /** For random sampling. Default 0. */
  readonly seed?: number;
}

/** The `--json` document of `fewbit imatrix`. */
export interface ImatrixReport {
  readonly output: string;
  /** Weights that the file speaks of. */
  readonly entries: number;
  readonly calibration: { readonly source: string; readonly sequences: number; readonly length: number; readonly tokens: number };
  readonly seconds: number;
}

/**
 * Measures the mean square of each layer's inputs on a text and writes it as llama.cpp's imatrix file. Throws `output` where the file exists,
 * and what `measureImportance` throws.
 */
export async function writeImportance(
  { model, output, calibration: choice, seed = 0 }: ImatrixJob,
  run: { backend: Backend; signal?: AbortSignal; onProgress?: (progress: Progress) => void },
): Promise<ImatrixReport> {
  const started = performance.now();
  if (await lstat(output).catch(() => undefined)) {
    throw new FewbitError('output', `${output} exists already: give another name, or move it away.`);
  }
  const directory = await openModelDirectory(model);
  try {
    const calibration = await readCalibration(choice, seed, directory, planModel(directory.config));
    const importance = await measureImportance({ model, layouts, calibration, ...run });
    const entries = new Map([...importance].map(([module, values]) => [nameOf(directory, module), values]));
    const [chunks, chunkSize] = [calibration.windows.length, calibration.windows[0]!.length];
    await writeImatrix(output, { entries, datasets: [basename(calibration.source)], chunks, chunkSize });
    return {
      output,
      entries: entries.size,
      calibration: { source: calibration.source, sequences: chunks, length: chunkSize, tokens: chunks * chunkSize },
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    await directory.close();
  }
}

/** The importance of each module's inputs in an imatrix file. Throws `calibration` where it has none of this model's layers, and what `readImatrix` throws. */
export async function readImportance(
  path: string,
  { config }: ModelDirectory,
  plan: ModelPlan,
): Promise<NonNullable<QuantizeOptions['importance']>> {
  const { entries } = await readImatrix(path);
  const find = (module: string) => entries.get(ggufWeightName(String(config.model_type), module) ?? '');
  const missing = linears(plan).filter(({ module }) => !find(module));
  if (missing.length > 0) {
    throw new FewbitError(
      'calibration',
      `${path} has no entry for ${missing[0]!.module} (and ${missing.length - 1} more layers): it was measured on another model.`,
    );
  }
  return find;
}

function nameOf({ config, path }: ModelDirectory, module: string): string {
  const name = ggufWeightName(String(config.model_type), module);
  if (name === undefined)
    throw new FewbitError('unsupported', `${path}: llama.cpp has no name for ${module}, so that no imatrix can hold it.`);
  return name;
}
