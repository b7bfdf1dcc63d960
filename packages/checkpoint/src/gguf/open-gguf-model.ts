import { type DType, dtypeBytes, FewbitError, type FileMapper, type Tensor, toFloat32 } from '@fewbit/core';
import { noSuchTensor } from '../no-such-tensor.js';
import { quote } from '../quote.js';
import type { ModelDirectory, TensorInfo } from '../types.js';
import { fromGgufValues, type Heads } from './change-values.js';
import { metadataToConfig } from './metadata-to-config.js';
import { metadataToTokenizer } from './metadata-to-tokenizer.js';
import { metadataReader } from './metadata-values.js';
import { type GgufFile, openGguf } from './read-gguf.js';
import { fromGgufName, type MappedName, namings } from './tensor-names.js';
import type { GgufTensor } from './types.js';

const ropeFreqs = 'rope_freqs.weight';

/**
 * A .gguf file as the model directory that it was made from: config.json and the tokenizer's files are synthesised, tensors have Hugging Face's
 * names and row orders. Block-quantized ones appear as `${module}.weight.q4_k`, U8 [rows, bytes of a row], and
 * `quantization_config.modules` of the config names their types. Throws `checkpoint` for damaged files, `unsupported` for other architectures.
 */
export async function openGgufModel(path: string, mapper?: FileMapper): Promise<ModelDirectory> {
  const file = await openGguf(path, mapper);
  try {
    const read = metadataReader(file.metadata, path);
    const config = metadataToConfig(read, {
      vocabulary: vocabularyOf(file),
      has: (name) => file.tensors.has(name),
      ...(file.tensors.has(ropeFreqs) && { ropeFactors: await readFactors(file) }),
      file: path,
    });
    const tensors = mapTensors(file, namings[read.text('general.architecture')!]!);
    const heads = headsOf(config);
    const texts = metadataToTokenizer(read, path);
    return {
      path,
      config: withTypes(config, tensors),
      checkpoint: {
        tensors,
        async read(name) {
          const found = tensors.get(name);
          if (!found) throw noSuchTensor(name, tensors.keys(), path);
          return fromGgufValues({ ...found.stored, data: await file.read(found.source.name) }, found.change, heads);
        },
        close: () => file.close(),
      },
      text: async (name) => texts.get(name),
      description: new Map([...file.metadata].filter(([key]) => isDescription(key))),
      companions: [...texts.keys()],
      bytes: async (name) => new TextEncoder().encode(texts.get(name)),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** But for what every writer says of the file that it writes. */
function isDescription(key: string): boolean {
  return /^(general|quantize\.imatrix)\./.test(key) && !/^general\.(architecture|type|file_type|quantization_version|alignment)$/.test(key);
}

interface Mapped extends TensorInfo {
  readonly source: GgufTensor;
  /** As it lies in the file. */
  readonly stored: Omit<Tensor, 'data'>;
  readonly change?: MappedName['change'];
}

function mapTensors(file: GgufFile, naming: (typeof namings)[string]): ReadonlyMap<string, Mapped> {
  const tensors = new Map<string, Mapped>();
  for (const source of file.tensors.values()) {
    if (source.name === ropeFreqs) continue;
    const mapped = fromGgufName(naming, source.name);
    if (!mapped)
      throw new FewbitError(
        'unsupported',
        `${file.name}: tensor ${quote(source.name)} belongs to no part of such a model that Fewbit knows.`,
      );
    const stored = storedAs(source);
    const { change } = mapped;
    const turned = change?.kind === 'transpose' && stored.dtype !== 'U8' && stored.shape.length === 2;
    tensors.set(stored.dtype === 'U8' ? `${mapped.name}.${source.type}` : mapped.name, {
      dtype: change?.kind === 'add-one' ? 'F32' : stored.dtype,
      shape: turned ? stored.shape.toReversed() : stored.shape,
      bytes: source.bytes,
      source,
      stored,
      ...(change && { change }),
    });
  }
  return tensors;
}

/** Blocks are bytes, a row of them for each of the matrix's. */
function storedAs({ type, shape, bytes }: GgufTensor): Omit<Tensor, 'data'> {
  if (Object.hasOwn(dtypeBytes, type)) return { dtype: type as DType, shape };
  const rows = shape.slice(0, -1);
  return { dtype: 'U8', shape: [...rows, bytes / rows.reduce((product, size) => product * size, 1)] };
}

function withTypes(config: Record<string, unknown>, tensors: ReadonlyMap<string, Mapped>): Record<string, unknown> {
  const modules: Record<string, string> = {};
  for (const [name, { source, stored }] of tensors) {
    if (stored.dtype === 'U8') modules[name.slice(0, -`.weight.${source.type}`.length)] = source.type;
  }
  return Object.keys(modules).length === 0 ? config : { ...config, quantization_config: { quant_method: 'gguf', modules } };
}

function vocabularyOf(file: GgufFile): number {
  const rows = file.tensors.get('token_embd.weight')?.shape[0];
  if (rows === undefined)
    throw new FewbitError('checkpoint', `${file.name} has no tensor token_embd.weight: it is no language model, or damaged.`);
  return rows;
}

async function readFactors(file: GgufFile): Promise<Float32Array> {
  const { type, shape } = file.tensors.get(ropeFreqs)!;
  if (type !== 'F32') throw new FewbitError('unsupported', `${file.name}: ${ropeFreqs} is stored as ${type}; F32 is read.`);
  return toFloat32({ dtype: 'F32', shape, data: await file.read(ropeFreqs) });
}

/** The config was made from counts that are checked. */
export function headsOf(config: Readonly<Record<string, unknown>>): Heads {
  const query = Number(config.num_attention_heads ?? config.n_head);
  return { query, key: Number(config.num_key_value_heads ?? query) };
}
