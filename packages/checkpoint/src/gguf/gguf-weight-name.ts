import { namings, toGgufName } from './tensor-names.js';

const architectures: Readonly<Record<string, string>> = { mistral: 'llama' };

/** GGUF's name of a module's weight in a model of this `model_type`: `blk.0.attn_q.weight`; undefined where it has none. */
export function ggufWeightName(modelType: string, module: string): string | undefined {
  const naming = namings[architectures[modelType] ?? modelType];
  return naming && (toGgufName(naming, `${module}.weight`) ?? toGgufName(naming, `transformer.${module}.weight`))?.name;
}
