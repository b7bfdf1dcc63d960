import { FewbitError, type Matrix } from '@fewbit/core';
import { decodeMatrix, type QuantizedMatrix } from '@fewbit/formats';
import { checkTensors, type ModelPlan } from '@fewbit/models';
import type { WeightSource } from './types.js';
import { type FloatTensor, weightReader } from './weight-reader.js';

/** Weights from memory, by checkpoint name and as a checkpoint stores them. Throws `config` when they do not fit the plan. */
export function memoryWeights(plan: ModelPlan, tensors: ReadonlyMap<string, FloatTensor>): WeightSource {
  checkTensors(plan, tensors);
  const read = async (name: string) => {
    const tensor = tensors.get(name);
    if (!tensor) throw new FewbitError('checkpoint', `There is no tensor ${name}.`);
    return tensor;
  };
  return weightReader(
    plan,
    read,
    async () => undefined,
    async () => undefined,
  );
}

/** `source` with some of its linears replaced, by module path: [out, in] matrices, or codes. */
export function overlay(source: WeightSource, replaced: ReadonlyMap<string, Matrix | QuantizedMatrix>): WeightSource {
  return {
    plan: source.plan,
    async linear(module) {
      const found = replaced.get(module);
      if (!found) return source.linear(module);
      return 'codes' in found ? decodeMatrix(found) : found;
    },
    async quantized(module) {
      const found = replaced.get(module);
      if (!found) return source.quantized(module);
      return 'codes' in found ? found : undefined;
    },
    stored: async (module) => (replaced.has(module) ? undefined : source.stored?.(module)),
    ...(source.activation && { activation: (module: string) => source.activation!(module) }),
    ...(source.keyValues && { keyValues: (attention: string) => source.keyValues!(attention) }),
    vector: (name) => source.vector(name),
    close: () => source.close(),
  };
}
