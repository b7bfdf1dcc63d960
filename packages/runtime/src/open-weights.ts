import type { ModelDirectory } from '@fewbit/checkpoint';
import { FewbitError, isFloat, type Tensor, toFloat32 } from '@fewbit/core';
import { compressedTensors, type LayoutReading } from '@fewbit/formats';
import { checkTensors, type LinearPlan, planModel } from '@fewbit/models';
import type { WeightSource } from './types.js';
import { weightReader } from './weight-reader.js';

/**
 * The weights of a float or compressed-tensors checkpoint, read tensor by tensor. The directory stays its opener's to close.
 * Throws `config` when config.json and tensors contradict each other, `unsupported` for another kind of quantization, and on
 * reading `numeric` for NaN or Inf.
 */
export async function openWeights({ config, checkpoint }: ModelDirectory): Promise<WeightSource> {
  const plan = planModel(config, checkpoint.tensors);
  const reading = readQuantization(config.quantization_config);
  checkTensors(plan, checkpoint.tensors, (module) => reading?.format(module) !== undefined);

  const readFloat = async (name: string) => {
    const tensor = await checkpoint.read(name);
    if (!isFloat(tensor.dtype)) {
      throw new FewbitError('unsupported', `${name} is stored as ${tensor.dtype}, but config.json does not say that it is quantized.`);
    }
    return { shape: tensor.shape, data: toFloat32(tensor) };
  };

  const readCodes = async ({ module, rows, cols }: LinearPlan) => {
    const spec = reading?.format(module);
    if (!reading || !spec) return undefined;
    const local = new Map<string, Tensor>();
    for (const name of checkpoint.tensors.keys()) {
      if (name.startsWith(`${module}.weight`)) local.set(name.slice(module.length + 1), await checkpoint.read(name));
    }
    return named(module, () => reading.layout.unpack(local, spec, rows, cols));
  };

  return weightReader(plan, readFloat, readCodes);
}

function readQuantization(config: unknown): LayoutReading | undefined {
  if (config === undefined || config === null) return undefined;
  const reading = compressedTensors.recognise(config);
  if (reading) return reading;
  const method = (config as { quant_method?: unknown }).quant_method;
  throw new FewbitError('unsupported', `quant_method ${JSON.stringify(method)} is not read; compressed-tensors and float checkpoints are.`);
}

/** Puts the module before messages that speak of its local tensors. */
function named<R>(module: string, body: () => R): R {
  try {
    return body();
  } catch (error) {
    if (!FewbitError.is(error)) throw error;
    throw new FewbitError(error.code, `${module}: ${error.message}`, { cause: error });
  }
}
