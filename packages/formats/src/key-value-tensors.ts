import { dtypeBytes, type Tensor } from '@fewbit/core';
import { expectTensor } from './expect-tensor.js';
import type { ActivationRounding, ActivationSpec, KeyValueLayout } from './types.js';

type Pack = (activation: ActivationRounding, of: string) => ReadonlyMap<string, Tensor>;
type Unpack = (tensors: ReadonlyMap<string, Tensor>, spec: ActivationSpec, of: string) => ActivationRounding;

/**
 * The tensors of keys and values where a layout stores theirs as it stores those of inputs, under `k_` and `v_` in the place of `input_`:
 * [1], or [heads, 1, 1] where each head has its own. Read as well: ModelOpt's scales beside the linears (`k_proj.k_scale`,
 * `v_proj.v_scale`) and the old `kv_scale` for both, as vLLM does.
 */
export function keyValueTensors(pack: Pack, unpack: Unpack): Omit<KeyValueLayout, 'rejects'> {
  return {
    pack: ({ keys, values }) => new Map([...packHeads(pack, keys, 'k'), ...packHeads(pack, values, 'v')]),
    unpack(tensors, spec, heads) {
      const known = inOurNames(tensors);
      return { keys: unpackHeads(unpack, known, spec, heads, 'k'), values: unpackHeads(unpack, known, spec, heads, 'v') };
    },
  };
}

/** Whether a tensor is one of those, by its full name. */
export function isKeyValueTensor(name: string): boolean {
  return /\.(kv_scale|[kv]_(scale|zero|zero_point))$/.test(name);
}

function packHeads(pack: Pack, { spec, params }: ActivationRounding, of: string): ReadonlyMap<string, Tensor> {
  if (!spec.perHead) return pack({ spec, params }, of);
  const heads = (params as readonly unknown[]).map((own) => pack({ spec: ofOneHead(spec), params: own }, of));
  return new Map(
    [...heads[0]!].map(([name, { dtype }]) => {
      const parts = heads.map((head) => head.get(name)!.data);
      return [name, { dtype, shape: [heads.length, 1, 1], data: Uint8Array.from(parts.flatMap((part) => [...part])) }];
    }),
  );
}

function unpackHeads(
  unpack: Unpack,
  tensors: ReadonlyMap<string, Tensor>,
  spec: ActivationSpec,
  heads: number,
  of: string,
): ActivationRounding {
  if (!spec.perHead) return unpack(tensors, spec, of);
  const whole = [...tensors].filter(([name]) => name.startsWith(`${of}_`));
  const params = Array.from({ length: heads }, (_, head) => {
    const own = whole.map(([name, { dtype }]): [string, Tensor] => {
      const { data } = expectTensor(tensors, name, [dtype], [heads, 1, 1]);
      const bytes = dtypeBytes[dtype];
      return [name, { dtype, shape: [1], data: data.slice(head * bytes, (head + 1) * bytes) }];
    });
    return unpack(new Map(own), ofOneHead(spec), of).params;
  });
  return { spec, params };
}

function ofOneHead({ perHead: _, ...spec }: ActivationSpec): ActivationSpec {
  return spec;
}

/** Local tensors by the names that `pack` gives; a scale without dimensions, as ModelOpt writes it, has one. */
function inOurNames(tensors: ReadonlyMap<string, Tensor>): ReadonlyMap<string, Tensor> {
  const known = new Map<string, Tensor>();
  for (const [name, tensor] of tensors) {
    const local = name.replace(/^([kv])_proj\.(?=\1_)/, '');
    const stored = tensor.shape.length === 0 ? { ...tensor, shape: [1] } : tensor;
    for (const own of local === 'kv_scale' ? ['k_scale', 'v_scale'] : [local]) known.set(own, stored);
  }
  return known;
}
