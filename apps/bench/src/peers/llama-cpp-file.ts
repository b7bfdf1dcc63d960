import { type GgufMetadata, type GgufValue, type TensorToWrite, writeGguf } from '@fewbit/checkpoint';
import { random, toF16 } from '@fewbit/core';
import { type GgmlTypeName, ggmlType, ggmlTypeNames } from '@fewbit/formats';
import { linears, type ModelPlan } from '@fewbit/models';

type TypeName = GgmlTypeName | 'F32';

/** The type of llama.cpp that holds weights like a format of ours: a format of ggml's is one. */
export function likeType(format: string): GgmlTypeName | undefined {
  return Object.hasOwn(alike, format) ? alike[format] : ggmlTypeNames.find((name) => name === format);
}

const alike: Readonly<Record<string, GgmlTypeName>> = { int4: 'q4_0', int8: 'q8_0' };

/** What has a type in llama.cpp. */
export const likeFormats: readonly string[] = [...Object.keys(alike), ...ggmlTypeNames];

/** Writes a Llama of `plan`'s shape with random weights as a GGUF file: linears in `type`, the head as llama-quantize chooses it. */
export async function writeLlama(path: string, plan: ModelPlan, type: GgmlTypeName): Promise<void> {
  await writeGguf(path, metadata(plan), tensorsOf(plan, type));
}

function tensorsOf(plan: ModelPlan, type: GgmlTypeName): TensorToWrite[] {
  const { hidden, vocabulary, head } = plan;
  const headType = type === 'q8_0' || hidden % ggmlType('q6_k').block !== 0 ? 'q8_0' : 'q6_k';
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
  const { block, bytes } = type === 'F32' ? { block: 1, bytes: 4 } : ggmlType(type);
  const length = (shape.reduce((product, size) => product * size, 1) / block) * bytes;
  return {
    ...{ name, type, shape, bytes: length },
    async content() {
      if (type === 'F32') return new Uint8Array(new Float32Array(length / 4).fill(1).buffer);
      return Buffer.alloc(length, randomBlocks(ggmlType(type)));
    },
  };
}

/** Random bytes but for steps and minima, which make values of about `spread`. */
function randomBlocks(type: ReturnType<typeof ggmlType>): Buffer {
  const { bytes, d, levels } = type;
  const { below } = random(0);
  const blocks = Buffer.from(Uint8Array.from({ length: bytes * 4096 }, () => below(256)));
  const largest = 'table' in levels ? Math.max(...levels.table) : levels.top;
  const [most, minimum] = type.kind === 'super' ? [type.scale.high, type.dmin] : [1, type.m];
  const step = (2 * spread) / (largest * most);
  for (let at = 0; at < blocks.length; at += bytes) {
    if (type.kind === 'simple' && type.scale === 'e8m0') blocks[at + d] = 127 + Math.round(Math.log2(step));
    else blocks.writeUInt16LE(toF16(step), at + d);
    // half of the range below 0: those of `m` are added, those of `dmin` are taken away
    if (minimum !== undefined) blocks.writeUInt16LE(toF16(type.kind === 'super' ? spread / most : -spread), at + minimum);
  }
  return blocks;
}

const spread = 0.02;

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
