import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type DType,
  dtypeBytes,
  elementCount,
  FewbitError,
  type FloatDType,
  fromFloat32,
  isFloat,
  type Tensor,
  toFloat32,
} from '@fewbit/core';
import { createPartial, requirePlainName, writeFile } from '../create-partial.js';
import { quote } from '../quote.js';
import type { CheckpointWriter, TensorInfo } from '../types.js';
import { writeAll } from '../write-all.js';
import { type Heads, toGgufValues } from './change-values.js';
import { type DescribedModel, describeGguf, jsonOf } from './describe-gguf.js';
import { fileType } from './file-type.js';
import { ggufPlaces } from './gguf-places.js';
import { scalar } from './metadata-values.js';
import type { Change } from './tensor-names.js';
import { type GgufValue, tensorTypes } from './types.js';
import type { TensorToWrite } from './write-gguf.js';
import { writeSplit } from './write-split.js';

export interface GgufFileOptions {
  /** Of weights that are stored in float: those with two dimensions. Default: as they come. Vectors, norms and learned positions are F32, as llama.cpp wants them. */
  readonly floatType?: 'F32' | 'F16' | 'BF16';
  /** More keys, such as `general.name` or `quantize.imatrix.file`. */
  readonly metadata?: ReadonlyMap<string, GgufValue>;
  /** Where tensors take more, the file is split as llama.cpp does it (model-00001-of-00002.gguf); one tensor alone may take more. Default: never. */
  readonly maxShardBytes?: number;
}

/** A writer that also says what a reader of the file must know. */
export type GgufWriter = CheckpointWriter & {
  /** Filled by `commit`. */
  readonly notes: readonly string[];
};

const stem = 'model';
/** Their content goes into the file; others (a licence, a model card) stand beside it. */
const consumed =
  /^(config|tokenizer|tokenizer_config|generation_config|special_tokens_map|added_tokens|vocab)\.json$|^merges\.txt$|^chat_template\.(jinja|json)$|^tokenizer\.model$/;

/**
 * A directory that will hold one `model.gguf`, or the parts of a split one. Takes what a model directory's writer takes (Hugging Face's names, config.json, tokenizer.json;
 * block-quantized weights as `${module}.weight.q4_k`) and makes the file at `commit`. Tensors wait on disk. Throws `output` when `path` exists
 * or cannot be written, and at `commit` `usage` without config.json, `unsupported` for what llama.cpp would not run the same.
 */
export async function createGgufFile(path: string, options: GgufFileOptions = {}): Promise<GgufWriter> {
  const { maxShardBytes = Number.POSITIVE_INFINITY } = options;
  if (!(maxShardBytes > 0)) throw new FewbitError('usage', `maxShardBytes must be a number above 0, got ${maxShardBytes}.`);
  const output = await createPartial(path);
  const { partial, writing } = output;
  const dataPath = join(partial, '.data');
  const data = await writing(() => open(dataPath, 'wx+'));
  const tensors = new Map<string, Arrived>();
  const texts = new Map<string, string>();
  const names = new Set<string>();
  const notes: string[] = [];
  let size = 0;
  let done = false;
  let closed = false;
  const close = async () => {
    if (!closed) await data.close();
    closed = true;
  };
  const claim = (name: string) => {
    if (done) throw new FewbitError('usage', `${path} is committed or given up: nothing more can be written to it.`);
    if (names.has(name)) throw new FewbitError('usage', `${quote(name)} is written to ${path} twice.`);
    names.add(name);
  };
  const file: CheckpointWriter['file'] = async (name, content) => {
    requirePlainName(name, path);
    if (name.endsWith('.gguf')) throw new FewbitError('usage', `${quote(name)} in ${path} is kept for weights.`);
    claim(name);
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    if (consumed.test(name)) texts.set(name, new TextDecoder().decode(bytes));
    else await writing(() => writeFile(join(partial, name), bytes), bytes.length);
  };

  return {
    notes,
    async write(name, { dtype, shape, data: content }) {
      claim(name);
      const expected = elementCount(shape) * dtypeBytes[dtype];
      if (content.length !== expected)
        throw new FewbitError('usage', `Tensor ${quote(name)}, ${dtype} [${shape}], takes ${expected} bytes, got ${content.length}.`);
      tensors.set(name, { dtype, shape, bytes: content.length, from: size });
      size = await writing(() => writeAll(data, content, size), content.length);
    },
    file,
    async commit(check) {
      if (done) throw new FewbitError('usage', `${path} is committed or given up.`);
      const { model, tokenizer } = describeGguf(configOf(texts, path), texts);
      notes.push(...model.notes, ...tokenizer.notes);
      const toWrite = planTensors(tensors, data, model, options.floatType);
      const metadata = new Map<string, GgufValue>([
        ['general.architecture', scalar('string', model.architecture)],
        ['general.type', scalar('string', 'model')],
        ['general.file_type', scalar('u32', fileType(toWrite))],
        ['general.quantization_version', scalar('u32', 2)],
        ...model.entries,
        ...tokenizer.entries,
        ...(options.metadata ?? []),
      ]);
      const report = await writing(() => writeSplit(partial, stem, metadata, toWrite, maxShardBytes));
      await close();
      await writing(() => rm(dataPath));
      const last = await check?.(partial, report);
      for (const [name, content] of Object.entries(last ?? {})) await file(name, content);
      await output.place();
      done = true;
      return report;
    },
    async abort() {
      if (done) return;
      done = true;
      await close();
      await output.undo();
    },
  };
}

/** A tensor and where its bytes lie in the data as they came. */
type Arrived = TensorInfo & { readonly from: number };

function configOf(texts: ReadonlyMap<string, string>, path: string): Record<string, unknown> {
  const text = texts.get('config.json');
  if (text === undefined) throw new FewbitError('usage', `No config.json was written to ${path}: a GGUF file takes its metadata from it.`);
  return jsonOf(text, 'config.json');
}

/** All tensors under GGUF's names, in the order in which a forward pass meets them. */
function planTensors(
  tensors: ReadonlyMap<string, Arrived>,
  data: FileHandle,
  { architecture, plan, heads, ropeFactors }: DescribedModel,
  floatType: FloatDType | undefined,
): TensorToWrite[] {
  const planned: TensorToWrite[] = [];
  for (const [name, { mapped, type }] of ggufPlaces(tensors.keys(), { architecture, plan }))
    planned.push(planTensor(tensors.get(name)!, mapped, type, data, heads, floatType));
  if (ropeFactors) {
    const { data: content, shape } = fromFloat32(ropeFactors, 'F32', [ropeFactors.length]);
    planned.push({ name: 'rope_freqs.weight', type: 'F32', shape, bytes: content.length, content: async () => content });
  }
  return planned.sort((a, b) => place(a.name) - place(b.name) || (a.name < b.name ? -1 : 1));
}

function planTensor(
  arrived: Arrived,
  { name, change }: { readonly name: string; readonly change?: Change },
  type: string | undefined,
  data: FileHandle,
  heads: Heads,
  floatType: FloatDType | undefined,
): TensorToWrite {
  const load = async (): Promise<Tensor> => {
    const bytes = new Uint8Array(arrived.bytes);
    for (let at = 0; at < bytes.length; ) {
      const { bytesRead } = await data.read(bytes, at, Math.min(bytes.length - at, 2 ** 30), arrived.from + at);
      if (bytesRead === 0) throw new Error('the file of waiting tensors was cut');
      at += bytesRead;
    }
    return toGgufValues({ dtype: arrived.dtype, shape: arrived.shape, data: bytes }, change, heads);
  };
  const turned = change?.kind === 'transpose' && type === undefined && arrived.shape.length === 2;
  const shape = turned ? arrived.shape.toReversed() : arrived.shape;
  if (type !== undefined) {
    const { block, bytes } = tensorTypes[type]!;
    const [rows, width] = shape as [number, number];
    return { name, type, shape: [rows, (width / bytes) * block], bytes: arrived.bytes, content: async () => (await load()).data };
  }
  if (!isFloat(arrived.dtype))
    throw new FewbitError('unsupported', `${name} is stored as ${arrived.dtype}, which is no type of ggml's blocks.`);
  const target = storedType(name, arrived.shape, arrived.dtype, floatType);
  return {
    name,
    type: target,
    shape,
    bytes: elementCount(shape) * dtypeBytes[target],
    async content() {
      const tensor = await load();
      return tensor.dtype === target ? tensor.data : fromFloat32(toFloat32(tensor), target, shape).data;
    },
  };
}

/** llama.cpp computes norms, biases and learned positions in F32, and wants them so. */
function storedType(name: string, shape: readonly number[], dtype: DType & FloatDType, wanted: FloatDType | undefined): FloatDType {
  if (shape.length < 2 || name.endsWith('_norm.weight') || name === 'position_embd.weight') return 'F32';
  return wanted ?? (dtype === 'F64' ? 'F32' : dtype);
}

function place(name: string): number {
  const block = /^blk\.(\d+)\./.exec(name)?.[1];
  if (block !== undefined) return 1 + Number(block);
  return name.startsWith('output') ? Number.MAX_SAFE_INTEGER : 0;
}
