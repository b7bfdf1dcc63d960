import { type CalibrationSet, calibrationWindows, readDocuments, type Sampling } from '@fewbit/calibration';
import type { ModelDirectory } from '@fewbit/checkpoint';
import { FewbitError } from '@fewbit/core';
import type { ModelPlan } from '@fewbit/models';
import { openTokenizer } from '@fewbit/tokenizer';

/** Windows of a text. */
export interface CalibrationChoice {
  /** `.txt` and `.raw` are one document, `.jsonl` has one per line. */
  readonly path: string;
  /** Default 128. */
  readonly samples?: number | undefined;
  /** Tokens of a window. Default 2048, at most what the model takes. */
  readonly length?: number | undefined;
  /** Default `spread`. */
  readonly sampling?: Sampling | undefined;
}

/** The windows of a text in a model's tokens. Throws `usage` for windows that the model cannot take, and what `calibrationWindows` throws. */
export async function readCalibration(
  { path, samples, length, sampling }: CalibrationChoice,
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
