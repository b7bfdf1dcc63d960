import { observers } from '@fewbit/calibration';
import { FewbitError } from '@fewbit/core';
import { z } from 'zod';
import { granularityNames } from './formats.js';
import { targetNames } from './targets.js';

const recipeSchema = z.strictObject({
  method: z.string().optional(),
  methodOptions: z.record(z.string(), z.unknown()).optional(),
  /** The share of each matrix's weights that is kept beside the codes. */
  outliers: z.number().optional(),
  format: z.string().optional(),
  group: z.int().optional(),
  granularity: z.enum(granularityNames).optional(),
  symmetric: z.boolean().optional(),
  doubleQuantization: z.boolean().optional(),
  activations: z.string().default('none'),
  kv: z.string().default('none'),
  observer: z.enum(observers).optional(),
  target: z.enum(targetNames as [string, ...string[]]).optional(),
  layout: z.string().default('compressed-tensors'),
  calibration: z
    .strictObject({
      path: z.string(),
      samples: z.int().positive().optional(),
      length: z.int().positive().optional(),
      sampling: z.enum(['spread', 'first', 'random']).optional(),
    })
    .optional(),
  /** A file, or true: measured on the calibration text. */
  imatrix: z.union([z.string(), z.literal(true)]).optional(),
  seed: z.int().nonnegative().default(0),
});

/** What to do to a model, as JSON: the same for the command line and for code. */
export type Recipe = z.infer<typeof recipeSchema> & { readonly method: string; readonly format: string };
/** A recipe as it is written: what is left out takes its default. */
export type RecipeInput = z.input<typeof recipeSchema>;

/**
 * Fills in defaults: method gptq, or rtn where an imatrix gives the importance; format int4, or q4_k_m in GGUF. Throws `usage` naming every
 * field that is unknown or ill-typed.
 */
export function parseRecipe(input: unknown): Recipe {
  const result = recipeSchema.safeParse(input);
  if (!result.success) throw new FewbitError('usage', `Recipe: ${z.prettifyError(result.error)}`);
  const { imatrix, layout } = result.data;
  const recipe = {
    ...result.data,
    method: result.data.method ?? (imatrix === undefined ? 'gptq' : 'rtn'),
    format: result.data.format ?? (layout === 'gguf' ? 'q4_k_m' : 'int4'),
  };
  if (imatrix !== undefined && recipe.method !== 'rtn')
    throw new FewbitError('usage', `Method ${recipe.method} measures the layers' inputs itself: leave --imatrix out, or take method rtn.`);
  if (imatrix === true && !recipe.calibration)
    throw new FewbitError(
      'usage',
      '--imatrix without a file measures the importance of inputs: say on which text with --calibration FILE.',
    );
  return recipe;
}
