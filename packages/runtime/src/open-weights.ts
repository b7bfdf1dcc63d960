import { type ModelDirectory, quantizationConfig } from '@fewbit/checkpoint/web';
import { FewbitError, isFloat, type Tensor, toFloat32InStrips } from '@fewbit/core';
import {
  type ActivationRounding,
  decodeInStrips,
  isKeyValueTensor,
  type KeyValueRounding,
  type Layout,
  type LayoutReading,
} from '@fewbit/formats';
import { attentionModule, checkTensors, planModel } from '@fewbit/models';
import { inTurns } from './next-turn.js';
import type { StoredWeight, WeightSource } from './types.js';
import { type CodedWeight, tablePlan, weightReader } from './weight-reader.js';

/**
 * The weights of a float checkpoint, or of one that a layout of `layouts` (default: none) recognises, read tensor by tensor. The directory stays its
 * opener's to close. Throws `config` when config.json and tensors contradict each other, `unsupported` for another kind of quantization, and on
 * reading `numeric` for NaN or Inf.
 */
export async function openWeights(directory: ModelDirectory, layouts: readonly Layout[] = []): Promise<WeightSource> {
  const { config, checkpoint } = directory;
  const plan = planModel(config, checkpoint.tensors);
  const reading = readQuantization(await quantizationConfig(directory), layouts);
  checkTensors(plan, checkpoint.tensors, (module) => reading?.format(module) !== undefined);

  const tables = [plan.embedding.tokens, plan.head.weight];
  const readFloat = async (name: string) => {
    const codes = tables.includes(name) ? await readCodes(tablePlan(plan, name)) : undefined;
    if (codes) return { shape: [codes.rows, codes.cols], data: (await inTurns(decodeInStrips(codes))).data };
    const tensor = await checkpoint.read(name);
    if (!isFloat(tensor.dtype)) {
      throw new FewbitError('unsupported', `${name} is stored as ${tensor.dtype}, but config.json does not say that it is quantized.`);
    }
    const data = await inTurns(toFloat32InStrips(tensor));
    checkpoint.release?.(tensor);
    return { shape: tensor.shape, data };
  };

  const localTensors = async (module: string, wanted: (local: string) => boolean = () => true) => {
    const local = new Map<string, Tensor>();
    for (const name of checkpoint.tensors.keys()) {
      if (!name.startsWith(`${module}.`) || name === `${module}.bias`) continue;
      if (wanted(name.slice(module.length + 1))) local.set(name.slice(module.length + 1), await checkpoint.read(name));
    }
    return local;
  };

  const readCodes = async ({ module, rows, cols }: CodedWeight) => {
    const spec = reading?.format(module);
    const name = `${module}.weight`;
    if (!reading || !spec || (tables.includes(name) && checkpoint.tensors.has(name))) return undefined;
    const local = await localTensors(module);
    const codes = await named(module, () => inTurns(reading.layout.unpack(local, spec, rows, cols)));
    for (const tensor of local.values()) checkpoint.release?.(tensor);
    return codes;
  };

  const readStored = async (name: string): Promise<StoredWeight | undefined> => {
    const dtype = checkpoint.tensors.get(name)?.dtype;
    if (dtype !== 'BF16' && dtype !== 'F32') return undefined;
    const tensor = { ...(await checkpoint.read(name)), dtype };
    return { tensor, release: () => checkpoint.release?.(tensor) };
  };

  const activation = async (module: string): Promise<ActivationRounding | undefined> => {
    const spec = reading?.activation?.(module);
    if (!reading || !spec) return undefined;
    const { unpackActivation } = reading.layout;
    if (!unpackActivation || spec.scaling === 'dynamic') return { spec };
    const local = await localTensors(module);
    return named(module, () => unpackActivation(local, spec));
  };

  const keyValues = async (attention: string): Promise<KeyValueRounding | undefined> => {
    const spec = reading?.keyValues;
    if (!reading || !spec) return undefined;
    const local = await localTensors(attention, (name) => isKeyValueTensor(`.${name}`));
    const { keyValueHeads } = plan.blocks.find((block) => attentionModule(block) === attention)!.attention;
    return named(attention, () => reading.layout.keyValues!.unpack(local, spec, keyValueHeads));
  };

  return { ...weightReader(plan, readFloat, readCodes, readStored), activation, keyValues };
}

function readQuantization(config: unknown, layouts: readonly Layout[]): LayoutReading | undefined {
  if (config === undefined) return undefined;
  for (const layout of layouts) {
    const reading = layout.recognise(config);
    if (reading) return reading;
  }
  const method = (config as { quant_method?: unknown }).quant_method;
  const known = layouts.map(({ id }) => id).join(', ');
  throw new FewbitError(
    'unsupported',
    `quantization_config.quant_method ${JSON.stringify(method)} is not read; float checkpoints are, and ${known || 'no layout'}.`,
  );
}

/** Puts the module before messages that speak of its local tensors. */
async function named<R>(module: string, body: () => R | Promise<R>): Promise<R> {
  try {
    return await body();
  } catch (error) {
    if (!FewbitError.is(error)) throw error;
    throw new FewbitError(error.code, `${module}: ${error.message}`, { cause: error });
  }
}
