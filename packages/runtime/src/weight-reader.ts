import {
  dtypeBytes,
  elementCount,
  FewbitError,
  findInStrips,
  firstNonFinite,
  firstNonFiniteStored,
  matrix,
  toFloat32,
  transpose,
} from '@fewbit/core';
import { decodeInStrips, type QuantizedMatrix } from '@fewbit/formats';
import { type LinearPlan, linears, type ModelPlan } from '@fewbit/models';
import { inTurns } from './next-turn.js';
import type { StoredWeight, WeightSource } from './types.js';

/** A linear, or the embedding or head: what may be stored in codes. */
export type CodedWeight = Pick<LinearPlan, 'module' | 'rows' | 'cols'>;
export type FloatTensor = Awaited<ReturnType<WeightSource['vector']>>;

/** A weight source over functions: float tensors by name, widened or as they are stored where that is BF16 or F32, and the codes of quantized linears. */
export function weightReader(
  plan: ModelPlan,
  readFloat: (name: string) => Promise<FloatTensor>,
  readCodes: (weight: CodedWeight) => Promise<QuantizedMatrix | undefined>,
  readStored: (name: string) => Promise<StoredWeight | undefined>,
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
    await requireFinite(name, tensor.data);
    return tensor;
  };
  return {
    plan,
    vector,
    quantized: async (module) => readCodes(tables.find((table) => table.module === module) ?? find(module)),
    async stored(module) {
      if (!tables.some((table) => table.module === module) && find(module).transposed) return undefined;
      const name = `${module}.weight`;
      const weight = await readStored(name);
      if (weight) await requireFiniteStored(name, weight);
      return weight;
    },
    async linear(module) {
      const linear = find(module);
      const { rows, cols, transposed } = linear;
      const codes = await readCodes(linear);
      if (codes) {
        const decoded = await inTurns(decodeInStrips(codes));
        await requireFinite(`${module}.weight (dequantized)`, decoded.data);
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

async function requireFinite(name: string, data: Float32Array): Promise<void> {
  const at = await inTurns(findInStrips(data.length, (start, end) => firstNonFinite(data.subarray(start, end))));
  if (at >= 0) throw nonFinite(name, data[at]!, at);
}

async function requireFiniteStored(name: string, { tensor }: StoredWeight): Promise<void> {
  const { dtype, shape, data } = tensor;
  const width = dtypeBytes[dtype];
  const find = (start: number, end: number) =>
    firstNonFiniteStored({ dtype, shape: [end - start], data: data.subarray(start * width, end * width) });
  const at = await inTurns(findInStrips(elementCount(shape), find));
  if (at < 0) return;
  throw nonFinite(name, toFloat32({ dtype, shape: [], data: data.slice(at * width, (at + 1) * width) })[0]!, at);
}

function nonFinite(name: string, value: number, at: number): FewbitError {
  return new FewbitError('numeric', `${name} has ${value} at index ${at}: the weights are damaged. Compare the file with its source.`);
}
