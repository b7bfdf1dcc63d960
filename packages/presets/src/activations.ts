import { FewbitError } from '@fewbit/core';
import type { ActivationSpec, FormatSpec, Granularity, IntSpec, KeyValueRounding } from '@fewbit/formats';

const int8 = (granularity: Granularity): IntSpec => ({
  kind: 'int',
  bits: 8,
  scheme: 'symmetric-full',
  granularity,
  scaleType: 'F32',
});
const fp8 = (granularity: Granularity): FormatSpec => ({ kind: 'float', element: 'e4m3', granularity, scaleType: 'F32' });

const micro = (element: 'e2m1' | 'e4m3', size: number, scaleType: 'E8M0' | 'E4M3'): FormatSpec => ({
  ...{ kind: 'float', element, scaleType },
  granularity: { kind: 'group', size },
});

/** Dynamic scales are per token, static ones per tensor, microscaling ones per group: what engines have kernels for. */
const activations: Readonly<Record<string, ActivationSpec | undefined>> = {
  none: undefined,
  int8: { format: int8({ kind: 'channel' }), scaling: 'dynamic' },
  fp8: { format: fp8({ kind: 'channel' }), scaling: 'dynamic' },
  'int8-static': { format: int8({ kind: 'tensor' }), scaling: 'static' },
  'fp8-static': { format: fp8({ kind: 'tensor' }), scaling: 'static' },
  mxfp8: { format: micro('e4m3', 32, 'E8M0'), scaling: 'dynamic' },
  mxfp4: { format: micro('e2m1', 32, 'E8M0'), scaling: 'dynamic' },
  nvfp4: { format: micro('e2m1', 16, 'E4M3'), scaling: 'local' },
};

export const activationNames: readonly string[] = Object.keys(activations);

/** How inputs are rounded, by its command-line name; undefined for `none`. Throws `usage` with the choices. */
export function parseActivation(name: string): ActivationSpec | undefined {
  if (Object.hasOwn(activations, name)) return activations[name];
  throw new FewbitError('usage', `Unknown activations "${name}". Choose one of: ${activationNames.join(', ')}.`);
}

const perTensor = { kind: 'tensor' } as const;
const perToken = { kind: 'channel' } as const;

/**
 * Static scales are one for the keys of a layer and one for its values, or one for each head: what engines read; dynamic ones per token,
 * which Fewbit alone runs.
 */
const keyValues: Readonly<Record<string, ActivationSpec | undefined>> = {
  none: undefined,
  ...scaledAlike('fp8', fp8),
  ...scaledAlike('int8', int8),
  ...scaledAlike('int8-asymmetric', asymmetric(8)),
  ...scaledAlike('int4', (granularity) => ({ ...int8(granularity), bits: 4 })),
  ...scaledAlike('int4-asymmetric', asymmetric(4)),
};

function asymmetric(bits: 4 | 8): (granularity: Granularity) => FormatSpec {
  return (granularity) => ({ ...int8(granularity), bits, scheme: 'asymmetric' });
}

function scaledAlike(name: string, format: (granularity: Granularity) => FormatSpec): Record<string, ActivationSpec> {
  return {
    [name]: { format: format(perTensor), scaling: 'static' },
    [`${name}-head`]: { format: format(perTensor), scaling: 'static', perHead: true },
    [`${name}-dynamic`]: { format: format(perToken), scaling: 'dynamic' },
  };
}

export const keyValueNames: readonly string[] = Object.keys(keyValues);

/** How keys and values are rounded, by its command-line name; undefined for `none`. Throws `usage` with the choices. */
export function parseKeyValues(name: string): ActivationSpec | undefined {
  if (Object.hasOwn(keyValues, name)) return keyValues[name];
  throw new FewbitError('usage', `Unknown kv "${name}". Choose one of: ${keyValueNames.join(', ')}.`);
}

const per32 = { kind: 'group', size: 32 } as const;

/** What a cache may hold that the checkpoint does not speak of: each token's own scales, of 32 values in integers. */
const keyValueCaches: Readonly<Record<string, 'f16' | 'f32' | ActivationSpec>> = {
  f32: 'f32',
  f16: 'f16',
  fp8: { format: fp8(perToken), scaling: 'dynamic' },
  int8: { format: int8(per32), scaling: 'dynamic' },
  int4: { format: asymmetric(4)(per32), scaling: 'dynamic' },
};

export const keyValueCacheNames: readonly string[] = Object.keys(keyValueCaches);

/** How a running model keeps keys and values, by its command-line name. Throws `usage` with the choices. */
export function parseKeyValueCache(name: string): 'f16' | 'f32' | KeyValueRounding {
  if (!Object.hasOwn(keyValueCaches, name))
    throw new FewbitError('usage', `Unknown kv-cache "${name}". Choose one of: ${keyValueCacheNames.join(', ')}.`);
  const spec = keyValueCaches[name]!;
  return typeof spec === 'string' ? spec : { keys: { spec }, values: { spec } };
}
