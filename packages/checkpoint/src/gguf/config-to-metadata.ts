import { FewbitError } from '@fewbit/core';
import { type ModelPlan, planModel } from '@fewbit/models';
import { scalar } from './metadata-values.js';
import { ropeFactors } from './rope-factors.js';
import type { GgufValue } from './types.js';

export interface ModelMetadata {
  /** `general.architecture`. */
  readonly architecture: string;
  readonly entries: ReadonlyMap<string, GgufValue>;
  /** Values of `rope_freqs.weight`, for llama3 scaling. */
  readonly ropeFactors?: Float32Array;
  readonly plan: ModelPlan;
  readonly notes: readonly string[];
}

const architectures: Readonly<Record<string, string>> = { mistral: 'llama' };

/**
 * The keys of llama.cpp that say what config.json says. Throws `unsupported` where llama.cpp would compute something else, and what
 * `planModel` throws.
 */
export function configToMetadata(config: Readonly<Record<string, unknown>>): ModelMetadata {
  const plan = planModel(config);
  const architecture = architectures[plan.architecture] ?? plan.architecture;
  const [first] = plan.blocks;
  const { attention, mlp, attentionNorm } = first!;
  const entries = new Map<string, GgufValue>();
  const set = (key: string, value: GgufValue) => entries.set(`${architecture}.${key}`, value);
  refuseOthers(plan, architecture, config);

  set('context_length', scalar('u32', plan.maxPositions));
  set('embedding_length', scalar('u32', plan.hidden));
  set('block_count', scalar('u32', plan.blocks.length));
  set('feed_forward_length', scalar('u32', mlp.up.rows));
  set('attention.head_count', scalar('u32', attention.heads));
  set('attention.head_count_kv', scalar('u32', attention.keyValueHeads));
  set(`attention.layer_norm_${attentionNorm.kind === 'rms' ? 'rms_' : ''}epsilon`, scalar('f32', attentionNorm.epsilon));
  set('vocab_size', scalar('u32', plan.vocabulary));
  if (!attention.rotary) return { architecture, entries, plan, notes: [] };

  set('attention.key_length', scalar('u32', attention.headSize));
  set('attention.value_length', scalar('u32', attention.headSize));
  set('rope.dimension_count', scalar('u32', attention.headSize));
  const { theta, scaling, kind } = ropeOf(config);
  set('rope.freq_base', scalar('f32', theta));
  if (kind === 'linear') {
    set('rope.scaling.type', scalar('string', 'linear'));
    set('rope.scaling.factor', scalar('f32', scaling.factor as number));
  }
  if (attention.softcap !== undefined) set('attn_logit_softcapping', scalar('f32', attention.softcap));
  if (plan.logitSoftcap !== undefined) set('final_logit_softcapping', scalar('f32', plan.logitSoftcap));
  if (attention.window !== undefined) set('attention.sliding_window', scalar('u32', attention.window));
  const notes =
    architecture === 'llama' && attention.window !== undefined && attention.window < plan.maxPositions
      ? [`llama.cpp gives this architecture no sliding window: beyond ${attention.window} tokens it computes something else there.`]
      : [];
  return {
    architecture,
    entries,
    plan,
    notes,
    ...(kind === 'llama3' && { ropeFactors: ropeFactors(attention.rotary.frequencies, theta) }),
  };
}

/** What llama.cpp takes for granted of an architecture. */
function refuseOthers(plan: ModelPlan, architecture: string, config: Readonly<Record<string, unknown>>): void {
  const refuse = (what: string): never => {
    throw new FewbitError('unsupported', `llama.cpp has ${what} for ${architecture}: this model would not be the same there.`);
  };
  const activation = { gemma2: 'gelu-tanh', gpt2: 'gelu-tanh' }[architecture] ?? 'silu';
  for (const { mlp, attention } of plan.blocks) {
    if (mlp.activation !== activation) refuse(`the activation ${activation}, not ${mlp.activation},`);
    if (architecture.startsWith('qwen') && attention.window !== undefined) refuse('no sliding window');
    if (Math.abs(attention.scale / expectedScale(plan, architecture) - 1) > 1e-6) refuse('another scale of the attention scores');
  }
  if (architecture === 'gemma2' && config.layer_types === undefined && plan.blocks[0]?.attention.window === undefined) {
    refuse('a sliding window on every other layer');
  }
}

/** Gemma 2 of 27 billion, which llama.cpp knows by its 46 layers, divides by another width than the head's. */
function expectedScale({ blocks, hidden }: ModelPlan, architecture: string): number {
  const { headSize, heads } = blocks[0]!.attention;
  return (architecture === 'gemma2' && blocks.length === 46 ? hidden / heads : headSize) ** -0.5;
}

/** The plan has checked all of these. */
function ropeOf(config: Readonly<Record<string, unknown>>): { theta: number; scaling: Record<string, unknown>; kind: unknown } {
  const scaling = (config.rope_scaling ?? config.rope_parameters ?? {}) as Record<string, unknown>;
  return {
    theta: (scaling.rope_theta ?? config.rope_theta ?? 10_000) as number,
    scaling,
    kind: scaling.rope_type ?? scaling.type ?? 'default',
  };
}
