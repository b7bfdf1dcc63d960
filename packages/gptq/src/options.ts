import { requireShare } from '@fewbit/algorithm';
import type { TokenWeight } from '@fewbit/calibration';
import { FewbitError } from '@fewbit/core';
import type { Order } from './column-order.js';

/**
 * What the search for a group's range weighs a weight's squared error by. `off`: no search, the full range. `plain`: all alike.
 * `hessian`: diag(H), the power of its input. `inverse`: 1/U[k,k]², what an error costs when the columns after it make up for it.
 */
export type Clip = 'off' | 'plain' | 'hessian' | 'inverse';

/** What the rounded layer should give: `plain`: W·x of the quantized stream's inputs x. `float`: W·xf, the untouched model's own output. */
export type Target = 'plain' | 'float';

export interface GptqOptions {
  /** Order of the columns. */
  readonly order?: Order;
  /** Search of each tile's range. */
  readonly clip?: Clip;
  /** Added to the Hessian's diagonal, as a fraction of its mean; raised tenfold while the Hessian is not positive definite. */
  readonly damping?: number;
  /** What the layer should give. `float` needs the untouched model's inputs: the calibration then carries both streams. */
  readonly target?: Target;
  /** Damping of the move to the `float` target, as a fraction of the mean of the Hessian's diagonal. */
  readonly targetDamping?: number;
  /** How much each token counts in the Hessian. */
  readonly tokenWeight?: TokenWeight;
  /** The share of each matrix's weights that is kept beside the codes: those that save the most error, by what it costs when the columns after it make up for it. Layout `fewbit` stores them. */
  readonly outliers?: number;
  /** Columns swept before the columns after them are brought up to date: speed only. */
  readonly block?: number;
}

export const gptqDefaults: Required<GptqOptions> = {
  order: 'activation',
  clip: 'hessian',
  damping: 0.05,
  target: 'float',
  targetDamping: 0.1,
  tokenWeight: 'none',
  outliers: 0,
  block: 128,
};

const choices = {
  order: ['natural', 'activation', 'group-aware'],
  clip: ['off', 'plain', 'hessian', 'inverse'],
  target: ['plain', 'float'],
  tokenWeight: ['none', 'equal'],
} as const;

/** Options with defaults filled in. Throws `usage` for a value that cannot be taken. */
export function resolveOptions(options: GptqOptions): Required<GptqOptions> {
  const resolved = { ...gptqDefaults, ...options };
  for (const [name, known] of Object.entries(choices)) {
    const value = resolved[name as keyof typeof choices];
    if (!(known as readonly string[]).includes(value))
      throw new FewbitError('usage', `GPTQ's ${name} '${value}' is not known: take ${known.join(', ')}.`);
  }
  for (const name of ['damping', 'targetDamping'] as const) {
    if (!(resolved[name] > 0 && Number.isFinite(resolved[name])))
      throw new FewbitError('usage', `GPTQ's ${name} must be a positive number, got ${resolved[name]}.`);
  }
  requireShare('GPTQ', resolved.outliers);
  if (!Number.isSafeInteger(resolved.block) || resolved.block < 1)
    throw new FewbitError('usage', `GPTQ's block must be a positive integer, got ${resolved.block}.`);
  return resolved;
}
