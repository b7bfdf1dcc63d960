import { FewbitError } from '@fewbit/core';
import type { MetadataReader } from './metadata-values.js';
import { shortest } from './metadata-values.js';
import { llama3Scaling } from './rope-factors.js';
import { namings } from './tensor-names.js';

/** What a config must be told that the metadata do not say. */
export interface TensorFacts {
  /** Rows of the token embedding: padding included. */
  readonly vocabulary: number;
  has(name: string): boolean;
  /** Values of `rope_freqs.weight`, where the file has it. */
  readonly ropeFactors?: Float32Array;
  readonly file: string;
}

/** The config.json that transformers would have for the model. Throws `unsupported` for another architecture, `checkpoint` for missing keys. */
export function metadataToConfig(read: MetadataReader, tensors: TensorFacts): Record<string, unknown> {
  const architecture = read.text('general.architecture');
  if (architecture === undefined || !Object.hasOwn(namings, architecture)) {
    throw new FewbitError(
      'unsupported',
      `${tensors.file}: architecture ${JSON.stringify(architecture)} is not supported; supported are ${Object.keys(namings).join(', ')}.`,
    );
  }
  if ((read.number(`${architecture}.expert_count`) ?? 0) > 0)
    throw new FewbitError('unsupported', `${tensors.file}: mixtures of experts (${architecture}.expert_count) are not supported.`);
  const common = {
    vocab_size: tensors.vocabulary,
    tie_word_embeddings: !tensors.has('output.weight'),
    torch_dtype: 'float32',
    bos_token_id: read.number('tokenizer.ggml.bos_token_id') ?? null,
    eos_token_id: read.number('tokenizer.ggml.eos_token_id') ?? null,
  };
  return architecture === 'gpt2' ? gpt2Config(read, common) : decoderConfig(architecture, read, tensors, common);
}

function gpt2Config(read: MetadataReader, common: object): Record<string, unknown> {
  return {
    architectures: ['GPT2LMHeadModel'],
    model_type: 'gpt2',
    n_embd: read.count('gpt2.embedding_length'),
    n_layer: read.count('gpt2.block_count'),
    n_head: read.count('gpt2.attention.head_count'),
    n_positions: read.count('gpt2.context_length'),
    n_inner: read.count('gpt2.feed_forward_length'),
    layer_norm_epsilon: epsilon(read, 'gpt2.attention.layer_norm_epsilon'),
    activation_function: 'gelu_new',
    ...common,
  };
}

/** Differences between the descendants of Llama; Mistral is Llama with a window. */
function decoderConfig(architecture: string, read: MetadataReader, tensors: TensorFacts, common: object): Record<string, unknown> {
  const at = (key: string) => `${architecture}.${key}`;
  const hidden = read.count(at('embedding_length'));
  const heads = read.count(at('attention.head_count'));
  const layers = read.count(at('block_count'));
  const headSize = read.count(at('attention.key_length'), hidden / heads);
  const values = read.count(at('attention.value_length'), headSize);
  const turned = read.count(at('rope.dimension_count'), headSize);
  if (values !== headSize || turned !== headSize) {
    throw new FewbitError(
      'unsupported',
      `${tensors.file}: heads of ${headSize} keys, ${values} values, ${turned} of them turned; Fewbit runs models that have one size.`,
    );
  }
  const window = read.number(at('attention.sliding_window'));
  const mistral = architecture === 'llama' && window !== undefined && window > 0;
  const theta = shortest(read.number(at('rope.freq_base')) ?? 10_000);
  return {
    architectures: [
      {
        llama: mistral ? 'MistralForCausalLM' : 'LlamaForCausalLM',
        qwen2: 'Qwen2ForCausalLM',
        qwen3: 'Qwen3ForCausalLM',
        gemma2: 'Gemma2ForCausalLM',
      }[architecture],
    ],
    model_type: mistral ? 'mistral' : architecture,
    hidden_size: hidden,
    intermediate_size: read.count(at('feed_forward_length')),
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: read.count(at('attention.head_count_kv'), heads),
    head_dim: headSize,
    max_position_embeddings: read.count(at('context_length')),
    rms_norm_eps: epsilon(read, at('attention.layer_norm_rms_epsilon')),
    rope_theta: theta,
    rope_scaling: ropeScaling(at, read, tensors, theta),
    attention_bias: tensors.has('blk.0.attn_output.bias') || (architecture === 'llama' && tensors.has('blk.0.attn_q.bias')),
    mlp_bias: tensors.has('blk.0.ffn_up.bias'),
    ...(architecture === 'gemma2'
      ? {
          hidden_activation: 'gelu_pytorch_tanh',
          query_pre_attn_scalar: layers === 46 ? hidden / heads : headSize,
          attn_logit_softcapping: read.number(at('attn_logit_softcapping')) ?? 50,
          final_logit_softcapping: read.number(at('final_logit_softcapping')) ?? 30,
          sliding_window: window ?? 4096,
        }
      : { hidden_act: 'silu', ...(mistral && { sliding_window: window }) }),
    ...common,
  };
}

function epsilon(read: MetadataReader, key: string): number {
  const value = read.number(key);
  if (value === undefined) throw new FewbitError('checkpoint', `The GGUF key ${key} is missing.`);
  return shortest(value);
}

function ropeScaling(at: (key: string) => string, read: MetadataReader, { ropeFactors, file }: TensorFacts, theta: number): object | null {
  if (ropeFactors) return llama3Scaling(ropeFactors, theta, file) ?? null;
  const type = read.text(at('rope.scaling.type'));
  const factor = read.number(at('rope.scaling.factor')) ?? 1;
  if (type === undefined || type === 'none' || (type === 'linear' && factor === 1)) return null;
  return { rope_type: type, factor: shortest(factor) }; // the model's plan refuses what it does not know
}
