import { openModelDirectory } from '@fewbit/checkpoint';
import { FewbitError } from '@fewbit/core';
import { type FormatSpec, gguf } from '@fewbit/formats';
import { type ModelPlan, planModel } from '@fewbit/models';
import { type ConvertReport, convert, type FloatType, weightSites } from '@fewbit/pipeline';
import { refuseFlags } from './choose-format.js';
import { type FormatChoice, parseFormat } from './formats.js';
import { ggufMix } from './gguf-mixes.js';
import { ggufWriter } from './gguf-writer.js';
import { findLayout, layouts } from './layouts.js';

export interface ConvertJob {
  readonly model: string;
  readonly output: string;
  /** A layout's name, or `float`. */
  readonly layout: string;
  /** Round again where the layout has no format with the same weights. */
  readonly refit?: FormatChoice | undefined;
  /** `f32`, `f16`, `bf16`: float tensors are rounded to it. */
  readonly dtype?: string | undefined;
  /** `none`: inputs that were rounded are left in float. Default: they are rounded as before. */
  readonly activations?: string | undefined;
  /** The same of keys and values. */
  readonly kv?: string | undefined;
}

const floatTypes: Readonly<Record<string, FloatType>> = { f32: 'F32', f16: 'F16', bf16: 'BF16' };

/** Writes a model in another layout. Throws `usage` for unknown names, and what the pipeline's `convert` throws. */
export async function convertPretrained(job: ConvertJob, { signal }: { signal?: AbortSignal } = {}): Promise<ConvertReport> {
  const { model, output, layout: name, refit, dtype } = job;
  const layout = name === 'float' ? undefined : findLayout(name);
  if (dtype !== undefined && !Object.hasOwn(floatTypes, dtype)) {
    throw new FewbitError('usage', `Unknown dtype "${dtype}". Choose one of: ${Object.keys(floatTypes).join(', ')}.`);
  }
  const plainInputs = isNone('activations', job.activations);
  const plainKeyValues = isNone('kv', job.kv);
  const floats = dtype === undefined ? undefined : floatTypes[dtype];
  const common = { model, output, layouts, layout, floats, plainInputs, plainKeyValues, signal };
  if (layout !== gguf) return convert({ ...common, refit: refit && parseFormat(refit, layout?.scaleTypes?.[0] ?? 'F32') });
  const directory = await openModelDirectory(model);
  try {
    return await convert({
      ...common,
      createWriter: await ggufWriter(directory, floats && { floatType: floats }),
      refit: refit && mixOf(refit, planModel(directory.config)),
    });
  } finally {
    await directory.close();
  }
}

function isNone(flag: string, value: string | undefined): boolean {
  if (value === undefined || value === 'none') return value === 'none';
  throw new FewbitError('usage', `--${flag} ${value}: what is converted is rounded as before; leave it out, or say none.`);
}

/** The types that llama.cpp's mix of that name has for the blocks' linears. */
function mixOf(choice: FormatChoice, plan: ModelPlan): (module: string) => FormatSpec | undefined {
  refuseFlags(choice);
  const typeOf = ggufMix(choice.format, plan, false);
  const types = new Map(weightSites(plan).map((site) => [site.module, typeOf(site)]));
  return (module) => {
    const type = types.get(module);
    return typeof type === 'string' ? undefined : type;
  };
}
