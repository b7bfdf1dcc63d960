import { FewbitError } from '@fewbit/core';
import { type ModelPlan, planModel } from '@fewbit/models';

interface LlamaShape {
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly vocab_size: number;
  readonly max_position_embeddings: number;
  readonly rms_norm_eps: number;
  readonly rope_theta: number;
  readonly tie_word_embeddings: boolean;
}

/** The config.json fields of published Llama models, by name; `tiny` is for trying the program out. */
const shapes: Readonly<Record<string, LlamaShape>> = {
  tiny: {
    hidden_size: 64,
    intermediate_size: 192,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    vocab_size: 512,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: false,
  },
  'smollm2-135m': {
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    vocab_size: 49152,
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-5,
    rope_theta: 100000,
    tie_word_embeddings: true,
  },
  'tinyllama-1.1b': {
    hidden_size: 2048,
    intermediate_size: 5632,
    num_hidden_layers: 22,
    num_attention_heads: 32,
    num_key_value_heads: 4,
    vocab_size: 32000,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: false,
  },
  'llama-7b': {
    hidden_size: 4096,
    intermediate_size: 11008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 32,
    vocab_size: 32000,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: false,
  },
};

export const shapeNames: readonly string[] = Object.keys(shapes);

/** The plan of a named shape. Throws `usage` with the choices. */
export function planShape(name: string): ModelPlan {
  return planModel(shapeConfig(name));
}

/** Its config.json. Throws `usage` with the choices. */
export function shapeConfig(name: string): Record<string, unknown> {
  const shape = Object.hasOwn(shapes, name) ? shapes[name] : undefined;
  if (!shape) throw new FewbitError('usage', `Unknown shape "${name}". Choose one of: ${shapeNames.join(', ')}.`);
  return { architectures: ['LlamaForCausalLM'], model_type: 'llama', hidden_act: 'silu', ...shape };
}
