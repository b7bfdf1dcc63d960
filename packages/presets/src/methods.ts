import type { Method } from '@fewbit/algorithm';
import { FewbitError } from '@fewbit/core';
import { type GptqOptions, gptq } from '@fewbit/gptq';
import { type RtnOptions, rtn } from '@fewbit/rtn';
import { z } from 'zod';

interface Preset {
  /** What the method's options may be: a JSON object. */
  readonly options: z.ZodType;
  create(options: never): Method;
}

/** The built-in methods. A program of its own may pass any `Method` to the pipeline instead. */
const presets: Readonly<Record<string, Preset>> = {
  rtn: {
    options: z.strictObject({ clip: z.enum(['off', 'plain', 'hessian']).optional(), outliers: z.number().optional() }),
    create: (options: RtnOptions) => rtn(options),
  },
  gptq: {
    options: z.strictObject({
      order: z.enum(['natural', 'activation', 'group-aware']).optional(),
      clip: z.enum(['off', 'plain', 'hessian', 'inverse']).optional(),
      damping: z.number().positive().optional(),
      target: z.enum(['plain', 'float']).optional(),
      targetDamping: z.number().positive().optional(),
      tokenWeight: z.enum(['none', 'equal']).optional(),
      outliers: z.number().optional(),
      block: z.int().positive().optional(),
    }),
    create: (options: GptqOptions) => gptq(options),
  },
};

export const methodNames: readonly string[] = Object.keys(presets);

/** A method by name. Throws `usage` for an unknown name or option, with the choices. */
export function createMethod(name: string, options: unknown = {}): Method {
  const preset = Object.hasOwn(presets, name) ? presets[name] : undefined;
  if (!preset) throw new FewbitError('usage', `Unknown method "${name}". Choose one of: ${methodNames.join(', ')}.`);
  const checked = preset.options.safeParse(options);
  if (!checked.success) throw new FewbitError('usage', `Options of method ${name}: ${z.prettifyError(checked.error)}`);
  return preset.create(checked.data as never);
}
