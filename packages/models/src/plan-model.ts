import { FewbitError } from '@fewbit/core';
import { gemma2 } from './architectures/gemma2.js';
import { gpt2 } from './architectures/gpt2.js';
import { llama } from './architectures/llama.js';
import { mistral } from './architectures/mistral.js';
import { qwen2 } from './architectures/qwen2.js';
import { qwen3 } from './architectures/qwen3.js';
import { type ConfigReader, configReader } from './config-reader.js';
import type { ModelPlan } from './types.js';

/** The tensors of a checkpoint, where one is at hand. */
export interface TensorNames {
  has(name: string): boolean;
}

/** Reads one model_type. `names` decides where published checkpoints differ in their prefix. */
export type Architecture = (config: ConfigReader, names: TensorNames | undefined) => ModelPlan;

/** By `model_type`. */
const architectures: Readonly<Record<string, Architecture>> = { llama, mistral, qwen2, qwen3, gemma2, gpt2 };

/**
 * What a forward pass must know of the model that a parsed config.json describes. Defaults of missing fields are those of
 * transformers. Throws `unsupported` for another model_type or feature, `config` for missing, ill-typed or contradicting fields.
 */
export function planModel(config: unknown, names?: TensorNames): ModelPlan {
  const reader = configReader(config);
  const type = reader.text('model_type');
  const architecture = Object.hasOwn(architectures, type) ? architectures[type] : undefined;
  if (!architecture) {
    throw new FewbitError('unsupported', `model_type '${type}' is not supported; supported are ${Object.keys(architectures).join(', ')}.`);
  }
  return architecture(reader, names);
}
