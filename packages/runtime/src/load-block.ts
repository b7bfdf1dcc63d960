import type { ActivationRounding } from '@fewbit/formats';
import type { Backend, DeviceTensor } from '@fewbit/kernels';
import { type BlockPlan, blockLinears, type NormPlan } from '@fewbit/models';
import { loadLinear, type WeightOptions } from './load-linear.js';
import type { BlockActivations, BlockWeights, WeightSource } from './types.js';

/** Puts a block's weights into the backend's memory, where they stay until `freeBlock`. */
export function loadBlock(source: WeightSource, block: BlockPlan, backend: Backend, options: WeightOptions = {}): Promise<BlockWeights> {
  const { attentionNorm, attentionPostNorm, mlpNorm, mlpPostNorm, attention } = block;
  const norms = [attentionNorm, attention.queryNorm, attention.keyNorm, attentionPostNorm, mlpNorm, mlpPostNorm];
  return loadTensors(backend, async (weights) => {
    for (const name of norms.flatMap(normTensors)) weights.set(name, await uploadVector(source, name, backend));
    for (const { module, bias } of blockLinears(block)) {
      weights.set(`${module}.weight`, await loadLinear(source, module, backend, options));
      if (bias) weights.set(`${module}.bias`, await uploadVector(source, `${module}.bias`, backend));
    }
  });
}

/** How the inputs of a block's linears are rounded; equal roundings are one object, so that a shared input is rounded once. */
export async function loadActivations(source: WeightSource, block: BlockPlan): Promise<BlockActivations> {
  const activations = new Map<string, ActivationRounding>();
  const known = new Map<string, ActivationRounding>();
  for (const { module } of blockLinears(block)) {
    const rounding = await source.activation?.(module);
    if (!rounding) continue;
    const key = JSON.stringify(rounding);
    const same = known.get(key) ?? rounding;
    known.set(key, same);
    activations.set(module, same);
  }
  return activations;
}

/** Frees what `loadBlock` put into memory. */
export function freeBlock(weights: BlockWeights, backend: Backend): void {
  for (const tensor of weights.values()) backend.free(tensor);
}

/** Fills a map of tensors, and frees those already there when a later one fails. */
export async function loadTensors(backend: Backend, fill: (weights: Map<string, DeviceTensor>) => Promise<void>): Promise<BlockWeights> {
  const weights = new Map<string, DeviceTensor>();
  try {
    await fill(weights);
    return weights;
  } catch (error) {
    freeBlock(weights, backend);
    throw error;
  }
}

/** Names of a norm's tensors. */
export function normTensors(norm: NormPlan | undefined): string[] {
  if (!norm) return [];
  return norm.bias ? [norm.gain, norm.bias] : [norm.gain];
}

export async function uploadVector(source: WeightSource, name: string, backend: Backend): Promise<DeviceTensor> {
  const { data, shape } = await source.vector(name);
  await backend.finish?.(); // an upload waits for what runs, and JavaScript with it
  return backend.upload(data, shape);
}
