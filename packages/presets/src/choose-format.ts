import { basename } from 'node:path';
import type { GgufValue, ModelDirectory } from '@fewbit/checkpoint';
import { FewbitError } from '@fewbit/core';
import { gguf, type IntSpec, type Layout } from '@fewbit/formats';
import { linears, type ModelPlan } from '@fewbit/models';
import type { QuantizeOptions } from '@fewbit/pipeline';
import { type FormatChoice, parseFormat } from './formats.js';
import { findMix, ggufMix } from './gguf-mixes.js';
import { ggufWriter } from './gguf-writer.js';
import type { Recipe } from './recipe.js';

/** A wrong name is said before a model is looked for. Throws `usage`. */
export function checkFormatName(recipe: Recipe, layout: Layout): void {
  if (layout !== gguf) {
    parseFormat(recipe, 'F32');
    return;
  }
  findMix(recipe.format);
  refuseFlags(recipe);
}

/** Throws `usage` for flags that the types of GGUF do not take. */
export function refuseFlags(choice: Omit<FormatChoice, 'format'>): void {
  const flags = { group: 'group', granularity: 'granularity', symmetric: 'symmetric', doubleQuantization: 'double-quantization' } as const;
  const flag = (Object.keys(flags) as (keyof typeof flags)[]).find((name) => choice[name] !== undefined);
  if (flag) throw new FewbitError('usage', `The types of GGUF have their own blocks: leave --${flags[flag]} out.`);
}

/** The formats of a recipe for a model, and for GGUF the writer of its one file. */
export async function chooseFormat(
  recipe: Recipe,
  layout: Layout,
  directory: ModelDirectory,
  plan: ModelPlan,
): Promise<Pick<QuantizeOptions, 'format' | 'createWriter'>> {
  if (layout !== gguf) return { format: parseFormat(recipe, scaleType(directory, plan, layout)) };
  return {
    format: ggufMix(recipe.format, plan, recipe.imatrix !== undefined),
    createWriter: await ggufWriter(directory, { metadata: new Map(imatrixMetadata(recipe)) }),
  };
}

/** Engines load scales in the model's own dtype, where the layout does not have one of its own. */
export function scaleType({ checkpoint }: ModelDirectory, plan: ModelPlan, { scaleTypes }: Layout): IntSpec['scaleType'] {
  const first = checkpoint.tensors.get(`${linears(plan)[0]!.module}.weight`) ?? checkpoint.tensors.get(plan.embedding.tokens);
  const dtype = first?.dtype;
  const own = dtype === 'BF16' || dtype === 'F16' ? dtype : 'F32';
  return !scaleTypes || scaleTypes.includes(own) ? own : scaleTypes[0]!;
}

/** llama.cpp's own keys. */
function imatrixMetadata({ imatrix, calibration }: Recipe): [string, GgufValue][] {
  const text = (value: string): GgufValue => ({ type: 'string', value: basename(value) });
  if (typeof imatrix === 'string') return [['quantize.imatrix.file', text(imatrix)]];
  return imatrix && calibration ? [['quantize.imatrix.dataset', text(calibration.path)]] : [];
}
