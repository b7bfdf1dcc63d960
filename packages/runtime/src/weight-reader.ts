import { FewbitError, firstNonFinite, matrix, transpose } from '@fewbit/core';
import { decodeMatrix, type QuantizedMatrix } from '@fewbit/formats';
import { type LinearPlan, linears, type ModelPlan } from '@fewbit/models';
import type { WeightSource } from './types.js';

/** A linear, or the embedding or head: what may be stored in codes. */
export type CodedWeight = Pick<LinearPlan, 'module' | 'rows' | 'cols'>;
export type FloatTensor = Awaited<ReturnType<WeightSource['vector']>>;

/** A weight source over two functions: float tensors as they are stored, by name, and the codes of quantized linears. */
export function weightReader(
  plan: ModelPlan,
  readFloat: (name: string) => Promise<FloatTensor>,
  readCodes: (weight: CodedWeight) => Promise<QuantizedMatrix | undefined>,
): WeightSource {
  const byModule = new Map(linears(plan).map((linear) => [linear.module, linear]));
  const find = (module: string): LinearPlan => {
    const linear = byModule.get(module);
    if (!linear) throw new FewbitError('usage', `${module} is not a linear layer of a block of this ${plan.architecture} model.`);
    return linear;
  };
  const tables = [plan.embedding.tokens, plan.head.weight].map((name) => tablePlan(plan, name));
  const vector = async (name: string) => {
    const tensor = await readFloat(name);
    requireFinite(name, tensor.data);
    return tensor;
  };
  return {
    plan,
    vector,
    quantized: async (module) => readCodes(tables.find((table) => table.module === module) ?? find(module)),
    async linear(module) {
      const linear = find(module);
      const { rows, cols, transposed } = linear;
      const codes = await readCodes(linear);
      if (codes) {
        const decoded = decodeMatrix(codes);
        requireFinite(`${module}.weight (dequantized)`, decoded.data);
        return decoded;
      }
      const { data } = await vector(`${module}.weight`);
      return transposed ? transpose(matrix(cols, rows, data)) : matrix(rows, cols, data);
    },
    close: async () => {},
  };
}

/** The embedding or the head, by its tensor's name. */
export function tablePlan({ vocabulary, hidden }: ModelPlan, name: string): CodedWeight {
  return { module: name.replace(/\.weight$/, ''), rows: vocabulary, cols: hidden };
}

function requireFinite(name: string, data: Float32Array): void {
  const at = firstNonFinite(data);
  if (at < 0) return;
  throw new FewbitError('numeric', `${name} has ${data[at]} at index ${at}: the weights are damaged. Compare the file with its source.`);
}
