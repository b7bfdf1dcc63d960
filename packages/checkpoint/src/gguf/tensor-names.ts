/** Hugging Face's names of tensors and GGUF's, by architecture. Source: llama.cpp's `gguf-py/gguf/tensor_mapping.py` and its converters. */

/** How the values of a tensor differ between the two. */
export type Change =
  /** Rows of each head in pairs (Llama's rotary order), with the number of heads that the config has under … */
  | { readonly kind: 'pair-rows'; readonly heads: 'query' | 'key' }
  /** GGUF stores gain, Hugging Face gain − 1. */
  | { readonly kind: 'add-one' }
  /** GGUF stores [out, in], Hugging Face [in, out]. */
  | { readonly kind: 'transpose' };

interface Entry {
  readonly theirs: string;
  readonly change?: Change;
}

export interface Naming {
  /** Before a block's number: `model.layers.`. */
  readonly blockPrefix: string;
  readonly global: Readonly<Record<string, Entry>>;
  readonly block: Readonly<Record<string, Entry>>;
}

export interface MappedName {
  readonly name: string;
  readonly change?: Change;
}

const llamaGlobal = {
  'model.embed_tokens': { theirs: 'token_embd' },
  'model.norm': { theirs: 'output_norm' },
  lm_head: { theirs: 'output' },
};

const llamaBlock = {
  input_layernorm: { theirs: 'attn_norm' },
  'self_attn.q_proj': { theirs: 'attn_q' },
  'self_attn.k_proj': { theirs: 'attn_k' },
  'self_attn.v_proj': { theirs: 'attn_v' },
  'self_attn.o_proj': { theirs: 'attn_output' },
  post_attention_layernorm: { theirs: 'ffn_norm' },
  'mlp.gate_proj': { theirs: 'ffn_gate' },
  'mlp.up_proj': { theirs: 'ffn_up' },
  'mlp.down_proj': { theirs: 'ffn_down' },
};

const qwen: Naming = { blockPrefix: 'model.layers.', global: llamaGlobal, block: llamaBlock };
const addOne = { kind: 'add-one' } as const;
const transpose = { kind: 'transpose' } as const;

/** By `general.architecture`. */
export const namings: Readonly<Record<string, Naming>> = {
  llama: {
    ...qwen,
    block: {
      ...llamaBlock,
      'self_attn.q_proj': { theirs: 'attn_q', change: { kind: 'pair-rows', heads: 'query' } },
      'self_attn.k_proj': { theirs: 'attn_k', change: { kind: 'pair-rows', heads: 'key' } },
    },
  },
  qwen2: qwen,
  qwen3: {
    ...qwen,
    block: { ...llamaBlock, 'self_attn.q_norm': { theirs: 'attn_q_norm' }, 'self_attn.k_norm': { theirs: 'attn_k_norm' } },
  },
  gemma2: {
    ...qwen,
    global: { ...llamaGlobal, 'model.norm': { theirs: 'output_norm', change: addOne } },
    block: {
      ...llamaBlock,
      input_layernorm: { theirs: 'attn_norm', change: addOne },
      post_attention_layernorm: { theirs: 'post_attention_norm', change: addOne },
      pre_feedforward_layernorm: { theirs: 'ffn_norm', change: addOne },
      post_feedforward_layernorm: { theirs: 'post_ffw_norm', change: addOne },
    },
  },
  gpt2: {
    blockPrefix: 'transformer.h.',
    global: {
      'transformer.wte': { theirs: 'token_embd' },
      'transformer.wpe': { theirs: 'position_embd' },
      'transformer.ln_f': { theirs: 'output_norm' },
      lm_head: { theirs: 'output' },
    },
    block: {
      ln_1: { theirs: 'attn_norm' },
      ln_2: { theirs: 'ffn_norm' },
      'attn.c_attn': { theirs: 'attn_qkv', change: transpose },
      'attn.c_proj': { theirs: 'attn_output', change: transpose },
      'mlp.c_fc': { theirs: 'ffn_up', change: transpose },
      'mlp.c_proj': { theirs: 'ffn_down', change: transpose },
    },
  },
};

/** GGUF's name of a Hugging Face tensor, `.weight` or `.bias` kept; undefined where it has none. */
export function toGgufName({ blockPrefix, global, block }: Naming, name: string): MappedName | undefined {
  const { module, suffix } = split(name);
  if (!module.startsWith(blockPrefix)) return found(global, module, (theirs) => `${theirs}${suffix}`);
  const [, number, local] = /^(\d+)\.(.*)$/.exec(module.slice(blockPrefix.length)) ?? [];
  return local === undefined ? undefined : found(block, local, (theirs) => `blk.${number}.${theirs}${suffix}`);
}

/** Hugging Face's name of a GGUF tensor; undefined where it has none. */
export function fromGgufName({ blockPrefix, global, block }: Naming, name: string): MappedName | undefined {
  const { module, suffix } = split(name);
  const [, number, local] = /^blk\.(\d+)\.(.*)$/.exec(module) ?? [];
  const table = local === undefined ? global : block;
  const ours = Object.keys(table).find((key) => table[key]!.theirs === (local ?? module));
  if (ours === undefined) return undefined;
  const prefix = local === undefined ? '' : `${blockPrefix}${number}.`;
  return found(table, ours, () => `${prefix}${ours}${suffix}`);
}

function split(name: string): { module: string; suffix: string } {
  const at = name.search(/\.(weight|bias)$/);
  return at < 0 ? { module: name, suffix: '' } : { module: name.slice(0, at), suffix: name.slice(at) };
}

function found(table: Readonly<Record<string, Entry>>, key: string, name: (theirs: string) => string): MappedName | undefined {
  const entry = Object.hasOwn(table, key) ? table[key] : undefined;
  return entry && { name: name(entry.theirs), ...(entry.change && { change: entry.change }) };
}
