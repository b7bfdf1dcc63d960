/** What llama.cpp computes in fewer bits on a CPU, beside the weights: ggml-cpu's `type_traits_cpu` (`vec_dot_type`) and the cache's type. */
import { openModelDirectory } from '@fewbit/checkpoint';
import { roundTo } from '@fewbit/core';
import { type ActivationRounding, decodeInStrips, type GgmlTypeName, ggmlType } from '@fewbit/formats';
import { arrayHeap, type Backend, type DeviceTensor, hostBackend, referenceOps } from '@fewbit/kernels';
import { layouts } from '@fewbit/presets';
import { type Model, openModel, openWeights } from '@fewbit/runtime';

/** A model of a GGUF file that rounds as llama.cpp does. */
export async function openAsLlamaCpp(path: string, backend: Backend): Promise<Model> {
  const directory = await openModelDirectory(path);
  try {
    return await openModel(await openWeights(directory, layouts), asLlamaCpp(backend));
  } finally {
    await directory.close();
  }
}

/**
 * A backend that rounds what meets weights in blocks to 8 bits, as llama.cpp does: 32 inputs share a scale (Q8_0), or 256 where the weights'
 * blocks are that long (Q8_K). For types without a minimum; those with one meet Q8_1, whose sums are rounded too.
 */
function asLlamaCpp(inner: Backend): Backend {
  const roundings = new WeakMap<DeviceTensor, ActivationRounding>();
  let last: { x: DeviceTensor; rounding: ActivationRounding; rounded: DeviceTensor } | undefined;
  const { ops } = inner;
  const roundedFor = (x: DeviceTensor, w: DeviceTensor) => {
    const rounding = roundings.get(w);
    if (!rounding) return x;
    if (last?.x !== x || last.rounding !== rounding) last = { x, rounding, rounded: ops.roundActivations(x, rounding) };
    return last.rounded;
  };
  return {
    ...inner,
    get bytes() {
      return inner.bytes;
    },
    ops: { ...ops, matmul: (x, w, bias) => ops.matmul(roundedFor(x, w), w, bias) },
    weights: {
      activations: {},
      rejects: () => undefined,
      rounds: () => false,
      *upload(weight) {
        const { rows, cols, data } = 'codes' in weight ? yield* decodeInStrips(weight) : weight;
        const tensor = inner.upload(data, [rows, cols]);
        if ('codes' in weight && weight.spec.kind === 'ggml') roundings.set(tensor, inputsOf(weight.spec.type));
        return tensor;
      },
    },
  };
}

function inputsOf(type: GgmlTypeName): ActivationRounding {
  return ggmlType(type).block === 256 ? q8K : q80;
}

const q80: ActivationRounding = { spec: { format: { kind: 'ggml', type: 'q8_0' }, scaling: 'dynamic' } };
const q8K: ActivationRounding = {
  spec: {
    format: { kind: 'int', bits: 8, scheme: 'symmetric-restricted', granularity: { kind: 'group', size: 256 }, scaleType: 'F32' },
    scaling: 'dynamic',
  },
};

/** The reference backend with queries, keys and values in half precision, as llama.cpp's cache has them. */
export function halfCacheBackend(): Backend {
  return hostBackend({
    id: 'half-cache',
    description: 'reference, attention to half precision',
    threads: 1,
    heap: arrayHeap,
    close: async () => undefined,
    tables: (memory) => {
      const { attention } = referenceOps(memory);
      const halve = (tensor: DeviceTensor) => {
        const { data } = memory.read(tensor);
        for (const [i, value] of data.entries()) data[i] = roundTo('F16', value);
      };
      const ops = {
        attention: ((q, k, v, options) => {
          for (const tensor of [q, ...k, ...v]) halve(tensor);
          return attention(q, k, v, options);
        }) satisfies typeof attention,
      };
      return [{ id: 'half-cache', ops, algebra: {}, rejects: {} }];
    },
  });
}
