import { type GgufMetadata, type GgufValue, type TensorToWrite, writeGguf } from '@fewbit/checkpoint';
import { random, toF16 } from '@fewbit/core';
import { linears, type ModelPlan } from '@fewbit/models';

/** ggml's block types: values and bytes of a block, where its float16 scale lies, and a scale that makes values of about 0.02 (ggml-common.h). */
const types = {
  F32: { values: 1, bytes: 4 },
  q4_0: { values: 32, bytes: 18, scaleAt: 0, scale: 2e-3 },
  q8_0: { values: 32, bytes: 34, scaleAt: 0, scale: 2e-4 },
  q6_k: { values: 256, bytes: 210, scaleAt: 208, scale: 7e-5 },
} as const;
type TypeName = keyof typeof types;

/** The types of llama.cpp that hold weights like a format of ours. */
export const likeType: Readonly<Record<string, TypeName>> = { int4: 'q4_0', int8: 'q8_0', q4_0: 'q4_0', q8_0: 'q8_0' };

/** Writes a Llama of `plan`'s shape with random weights as a GGUF file: linears in `type`, the head as llama-quantize chooses it. */
export async function writeLlama(path: string, plan: ModelPlan, type: TypeName): Promise<void> {
  await writeGguf(path, metadata(plan), tensorsOf(plan, type));
}

function tensorsOf(plan: ModelPlan, type: TypeName): TensorToWrite[] {
  const { hidden, vocabulary, head } = plan;
  const headType = type === 'q8_0' || hidden % types.q6_k.values !== 0 ? 'q8_0' : 'q6_k';
  const norm = (name: string) => randomTensor(name, [hidden], 'F32');
  return [
    randomTensor('token_embd.weight', [vocabulary, hidden], head.tied ? headType : type),
    ...(head.tied ? [] : [randomTensor('output.weight', [vocabulary, hidden], headType)]),
    norm('output_norm.weight'),
    ...plan.blocks.flatMap(({ index }) => [norm(`blk.${index}.attn_norm.weight`), norm(`blk.${index}.ffn_norm.weight`)]),
    ...linears(plan).map(({ module, rows, cols }) => randomTensor(ggufName(module), [rows, cols], type)),
  ];
}

/** Random codes; norms are ones. */
function randomTensor(name: string, shape: readonly number[], type: TypeName): TensorToWrite {
  const { values, bytes, ...scaled } = types[type];
  const length = (shape.reduce((product, size) => product * size, 1) / values) * bytes;
  return {
    ...{ name, type, shape, bytes: length },
    async content() {
      if (!('scale' in scaled)) return new Uint8Array(new Float32Array(length / 4).fill(1).buffer);
      const { below } = random(0);
      const pattern = Buffer.from(Uint8Array.from({ length: bytes * 4096 }, () => below(256)));
      for (let at: number = scaled.scaleAt; at < pattern.length; at += bytes) pattern.writeUInt16LE(toF16(scaled.scale), at);
      return Buffer.alloc(length, pattern);
    },
  };
}

const parts: Readonly<Record<string, string>> = {
  q_proj: 'attn_q',
  k_proj: 'attn_k',
  v_proj: 'attn_v',
  o_proj: 'attn_output',
  gate_proj: 'ffn_gate',
  up_proj: 'ffn_up',
  down_proj: 'ffn_down',
};

function ggufName(module: string): string {
  const [, index, part] = /^model\.layers\.(\d+)\..*\.(\w+)$/.exec(module)!;
  return `blk.${index}.${parts[part!]}.weight`;
}

function metadata(plan: ModelPlan): GgufMetadata {
  const { heads, keyValueHeads, headSize } = plan.blocks[0]!.attention;
  const integer = (value: number): GgufValue => ({ type: 'u32', value });
  return new Map<string, GgufValue>([
    ['general.architecture', { type: 'string', value: 'llama' }],
    ['llama.vocab_size', integer(plan.vocabulary)],
    ['llama.context_length', integer(plan.maxPositions)],
    ['llama.embedding_length', integer(plan.hidden)],
    ['llama.block_count', integer(plan.blocks.length)],
    ['llama.feed_forward_length', integer(plan.blocks[0]!.mlp.down.cols)],
    ['llama.attention.head_count', integer(heads)],
    ['llama.attention.head_count_kv', integer(keyValueHeads)],
    ['llama.attention.layer_norm_rms_epsilon', { type: 'f32', value: plan.finalNorm.epsilon }],
    ['llama.rope.dimension_count', integer(headSize)],
    ...vocabulary(plan.vocabulary),
  ]);
}

/** A SentencePiece vocabulary of invented words: without one node-llama-cpp does not run. */
function vocabulary(size: number): [string, GgufValue][] {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const tokens = ['<unk>', '<s>', '</s>', ...bytes];
  while (tokens.length < size) tokens.push(`word${tokens.length}`);
  const kinds = tokens.map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 3 + bytes.length ? 6 : 1)); // unknown, control, byte, normal
  return [
    ['tokenizer.ggml.model', { type: 'string', value: 'llama' }],
    ['tokenizer.ggml.tokens', { type: 'array', of: 'string', value: tokens.slice(0, size) }],
    ['tokenizer.ggml.scores', { type: 'array', of: 'f32', value: tokens.slice(0, size).map((_, id) => -id) }],
    ['tokenizer.ggml.token_type', { type: 'array', of: 'i32', value: kinds.slice(0, size) }],
  ];
}
