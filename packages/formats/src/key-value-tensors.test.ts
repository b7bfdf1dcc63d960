import { fewbitError } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import {
  type ActivationSpec,
  compressedTensors,
  type FormatSpec,
  fewbit,
  isKeyValueTensor,
  type KeyValueRounding,
  type Layout,
} from './index.js';

const int8: FormatSpec = { kind: 'int', bits: 8, scheme: 'symmetric-full', granularity: { kind: 'tensor' }, scaleType: 'F32' };
const fp8: FormatSpec = { kind: 'float', element: 'e4m3', granularity: { kind: 'tensor' }, scaleType: 'F32' };
const modules = new Map<string, FormatSpec>([['model.layers.0.mlp.up_proj', { ...int8, granularity: { kind: 'channel' } }]]);
const of = (spec: ActivationSpec, params: (scale: number) => unknown): KeyValueRounding => ({
  keys: { spec, params: params(0.5) },
  values: { spec, params: params(0.25) },
});

describe('rounded keys and values', () => {
  it.each<[string, Layout, KeyValueRounding]>([
    ['int8', compressedTensors, of({ format: int8, scaling: 'static' }, (scale) => ({ scale, zero: 128 }))],
    ['fp8', compressedTensors, of({ format: fp8, scaling: 'static' }, (scale) => ({ scale }))],
    ['fp8', fewbit, of({ format: fp8, scaling: 'static' }, (scale) => ({ scale }))],
    ['asymmetric int8', fewbit, of({ format: { ...int8, scheme: 'asymmetric' }, scaling: 'static' }, (scale) => ({ scale, zero: 3 }))],
    ['int8 per token', fewbit, { keys: { spec: perToken() }, values: { spec: perToken() } }],
  ])('%s are stored in and read from $1.id', (_, layout, rounding) => {
    const { spec } = rounding.keys;
    expect(layout.keyValues!.rejects(spec)).toBeUndefined();
    const tensors = layout.keyValues!.pack(rounding);
    expect(tensors.size).toBe(spec.scaling === 'dynamic' ? 0 : spec.format.kind === 'int' && layout === fewbit ? 4 : 2);
    for (const [name, { shape }] of tensors) {
      expect(isKeyValueTensor(`model.layers.0.self_attn.${name}`)).toBe(true);
      expect(shape).toEqual([1]);
    }
    expect(layout.keyValues!.unpack(tensors, spec)).toEqual(rounding);
    const config = JSON.parse(JSON.stringify(layout.describe(modules, [], { keyValues: spec }))) as unknown;
    expect(layout.recognise(config)!.keyValues).toEqual(spec);
    expect(layout.recognise(layout.describe(modules, []))!.keyValues).toBeUndefined();
  });

  it('are told to vLLM as it has them', () => {
    const config = compressedTensors.describe(modules, [], { keyValues: { format: fp8, scaling: 'static' } });
    expect(config.kv_cache_scheme).toMatchObject({ num_bits: 8, type: 'float', symmetric: true, strategy: 'tensor', dynamic: false });
    const [name, tensor] = [...compressedTensors.keyValues!.pack(of({ format: fp8, scaling: 'static' }, (scale) => ({ scale })))][1]!;
    expect([name, tensor.dtype]).toEqual(['v_scale', 'F32']);
  });

  it('are refused where the layout cannot say it, and where a scale is missing or no number', () => {
    expect(compressedTensors.keyValues!.rejects(perToken())).toMatch(/one stored scale for the keys/);
    expect(fewbit.keyValues!.rejects({ format: { ...fp8, granularity: { kind: 'channel' } }, scaling: 'static' })).toMatch(
      /one per tensor/,
    );
    const spec: ActivationSpec = { format: fp8, scaling: 'static' };
    const tensors = compressedTensors.keyValues!.pack(of(spec, (scale) => ({ scale })));
    const only = (name: string) => new Map([...tensors].filter(([key]) => key === name));
    expect(() => compressedTensors.keyValues!.unpack(only('k_scale'), spec)).toThrow(fewbitError('checkpoint', /v_scale/));
    const damaged = new Map(tensors).set('k_scale', { dtype: 'F32', shape: [1], data: new Uint8Array(Float32Array.of(Number.NaN).buffer) });
    expect(() => compressedTensors.keyValues!.unpack(damaged, spec)).toThrow(fewbitError('checkpoint', /k_scale holds NaN/));
  });
});

function perToken(): ActivationSpec {
  return { format: { ...int8, granularity: { kind: 'channel' } }, scaling: 'dynamic' };
}
