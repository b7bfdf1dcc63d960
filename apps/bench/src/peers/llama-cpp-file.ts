import { open } from 'node:fs/promises';
import { random, toF16 } from '@fewbit/core';
import { linears, type ModelPlan } from '@fewbit/models';

/** ggml's block types: values and bytes of a block, where its float16 scale lies, and a scale that makes values of about 0.02 (ggml-common.h). */
const types = {
  F32: { id: 0, values: 1, bytes: 4 },
  Q4_0: { id: 2, values: 32, bytes: 18, scaleAt: 0, scale: 2e-3 },
  Q8_0: { id: 8, values: 32, bytes: 34, scaleAt: 0, scale: 2e-4 },
  Q6_K: { id: 14, values: 256, bytes: 210, scaleAt: 208, scale: 7e-5 },
} as const;
type TypeName = keyof typeof types;

/** The types of llama.cpp that hold weights like a format of ours. */
export const likeType: Readonly<Record<string, TypeName>> = { int4: 'Q4_0', int8: 'Q8_0' };

interface GgufTensor {
  readonly name: string;
  /** ggml's order: inputs first. */
  readonly shape: readonly number[];
  readonly type: TypeName;
}

const alignment = 32;

/** Writes a Llama of `plan`'s shape with random weights as a GGUF file (version 3): linears in `type`, the head as llama-quantize chooses it. */
export async function writeLlama(path: string, plan: ModelPlan, type: TypeName): Promise<void> {
  const tensors = tensorsOf(plan, type);
  const file = await open(path, 'w');
  try {
    await file.writeFile(header(plan, tensors));
    for (const tensor of tensors) await writeRandom(file, tensor);
  } finally {
    await file.close();
  }
}

function tensorsOf(plan: ModelPlan, type: TypeName): GgufTensor[] {
  const { hidden, vocabulary, head } = plan;
  const headType = type === 'Q8_0' || hidden % types.Q6_K.values !== 0 ? 'Q8_0' : 'Q6_K';
  const norm = (name: string): GgufTensor => ({ name, shape: [hidden], type: 'F32' });
  return [
    { name: 'token_embd.weight', shape: [hidden, vocabulary], type: head.tied ? headType : type },
    ...(head.tied ? [] : [{ name: 'output.weight', shape: [hidden, vocabulary], type: headType } as const]),
    norm('output_norm.weight'),
    ...plan.blocks.flatMap(({ index }) => [norm(`blk.${index}.attn_norm.weight`), norm(`blk.${index}.ffn_norm.weight`)]),
    ...linears(plan).map(({ module, rows, cols }) => ({ name: ggufName(module), shape: [cols, rows], type })),
  ];
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

function header(plan: ModelPlan, tensors: readonly GgufTensor[]): Uint8Array {
  const { heads, keyValueHeads, headSize } = plan.blocks[0]!.attention;
  const metadata: Buffer[][] = [
    [string('general.architecture'), text('llama')],
    [string('llama.vocab_size'), integer(plan.vocabulary)],
    [string('llama.context_length'), integer(plan.maxPositions)],
    [string('llama.embedding_length'), integer(plan.hidden)],
    [string('llama.block_count'), integer(plan.blocks.length)],
    [string('llama.feed_forward_length'), integer(plan.blocks[0]!.mlp.down.cols)],
    [string('llama.attention.head_count'), integer(heads)],
    [string('llama.attention.head_count_kv'), integer(keyValueHeads)],
    [string('llama.attention.layer_norm_rms_epsilon'), u32(valueTypes.float), f32(plan.finalNorm.epsilon)],
    [string('llama.rope.dimension_count'), integer(headSize)],
    ...vocabulary(plan.vocabulary),
  ];
  const bytes: Buffer[] = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(metadata.length), ...metadata.flat()];
  let offset = 0;
  for (const tensor of tensors) {
    bytes.push(string(tensor.name), u32(tensor.shape.length), ...tensor.shape.map(u64), u32(types[tensor.type].id), u64(offset));
    offset += aligned(byteLength(tensor));
  }
  const all = Buffer.concat(bytes);
  return Buffer.concat([all, Buffer.alloc(aligned(all.length) - all.length)]);
}

/** A SentencePiece vocabulary of invented words: without one llama.cpp does not run. */
function vocabulary(size: number): Buffer[][] {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const tokens = ['<unk>', '<s>', '</s>', ...bytes];
  while (tokens.length < size) tokens.push(`word${tokens.length}`);
  const kinds = tokens.map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 3 + bytes.length ? 6 : 1)); // unknown, control, byte, normal
  return [
    [string('tokenizer.ggml.model'), text('llama')],
    [string('tokenizer.ggml.tokens'), array(valueTypes.string, tokens.slice(0, size).map(string))],
    [
      string('tokenizer.ggml.scores'),
      array(
        valueTypes.float,
        tokens.slice(0, size).map((_, id) => f32(-id)),
      ),
    ],
    [string('tokenizer.ggml.token_type'), array(valueTypes.integer, kinds.slice(0, size).map(u32))],
  ];
}

/** Random codes; norms are ones. */
async function writeRandom(file: Awaited<ReturnType<typeof open>>, tensor: GgufTensor): Promise<void> {
  const type = types[tensor.type];
  const pattern = Buffer.alloc(type.bytes * 4096);
  if ('scale' in type) {
    const { below } = random(0);
    for (let at = 0; at < pattern.length; at++) pattern[at] = below(256);
    for (let at: number = type.scaleAt; at < pattern.length; at += type.bytes) pattern.writeUInt16LE(toF16(type.scale), at);
  } else {
    for (let at = 0; at < pattern.length; at += 4) pattern.writeFloatLE(1, at);
  }
  const length = byteLength(tensor);
  for (let done = 0; done < length; done += pattern.length) await file.writeFile(pattern.subarray(0, length - done));
  await file.writeFile(Buffer.alloc(aligned(length) - length));
}

function byteLength({ shape, type }: GgufTensor): number {
  const { values, bytes } = types[type];
  return (shape.reduce((product, size) => product * size, 1) / values) * bytes;
}

const aligned = (length: number) => Math.ceil(length / alignment) * alignment;

/** GGUF's tags of metadata values. */
const valueTypes = { unsigned: 4, integer: 5, float: 6, string: 8, array: 9 } as const;

const integer = (value: number) => Buffer.concat([u32(valueTypes.unsigned), u32(value)]);
const text = (value: string) => Buffer.concat([u32(valueTypes.string), string(value)]);
const array = (type: number, items: readonly Buffer[]) => Buffer.concat([u32(valueTypes.array), u32(type), u64(items.length), ...items]);

function string(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}

const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
const f32 = (value: number) => Buffer.from(Float32Array.of(value).buffer);
const u64 = (value: number) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
