import { openModelDirectory } from '@fewbit/checkpoint';
import { FewbitError } from '@fewbit/core';
import { type FormatSpec, gguf } from '@fewbit/formats';
import { type ModelPlan, planModel } from '@fewbit/models';
import { type ConvertOptions, type ConvertReport, convert, type FloatType, weightSites } from '@fewbit/pipeline';
import { candidateOf, readLayout } from './candidate.js';
import { refuseFlags, scaleType } from './choose-format.js';
import { type FormatChoice, parseFormat } from './formats.js';
import { ggufMix } from './gguf-mixes.js';
import { ggufWriter } from './gguf-writer.js';
import { findLayout, layouts } from './layouts.js';
import { requireTarget, targetNames } from './targets.js';

export interface ConvertJob {
  readonly model: string;
  readonly output: string;
  /** A layout's name, or `float`. */
  readonly layout: string;
  /** Round the weights again to this format, but for those that are on such a grid and have a place in the layout. */
  readonly refit?: FormatChoice | undefined;
  /** `f32`, `f16`, `bf16`: float tensors are rounded to it. */
  readonly dtype?: string | undefined;
  /** `none`: inputs that were rounded are left in float. Default: they are rounded as before. */
  readonly activations?: string | undefined;
  /** The same of keys and values. */
  readonly kv?: string | undefined;
  /** An engine: what it would not load is refused, before any work where headers tell it. */
  readonly target?: string | undefined;
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
  const common = { model, output, layouts, layout, floats, plainInputs, plainKeyValues, signal, ...checksOf(job) };
  if (refit && layout !== gguf) parseFormat(refit, 'F32'); // a wrong name is said before a model is looked for
  const directory = await openModelDirectory(model);
  try {
    const plan = planModel(directory.config);
    if (layout !== gguf)
      return await convert({ ...common, refit: refit && parseFormat(refit, layout ? scaleType(directory, plan, layout) : 'F32') });
    return await convert({
      ...common,
      createWriter: await ggufWriter(directory, floats && { floatType: floats }),
      refit: refit && mixOf(refit, plan),
    });
  } finally {
    await directory.close();
  }
}

/** The rules of an engine: over what is planned, and over the files that were written. */
function checksOf({ target, layout: name }: ConvertJob): Pick<ConvertOptions, 'accept' | 'check'> {
  if (target === undefined) return {};
  if (!targetNames.includes(target))
    throw new FewbitError('usage', `Unknown target "${target}". Choose one of: ${targetNames.join(', ')}.`);
  if (name === 'float') throw new FewbitError('usage', '--target checks what is quantized: leave it out with --layout float.');
  return {
    accept: ({ layout, ...planned }) => requireTarget(target, { ...planned, layout: layout.id }),
    async check(path) {
      const written = await openModelDirectory(path);
      try {
        const reading = await readLayout(written);
        if (reading) requireTarget(target, await candidateOf(written, reading));
      } finally {
        await written.close();
      }
    },
  };
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
