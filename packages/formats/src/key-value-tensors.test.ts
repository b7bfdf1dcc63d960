import type { Tensor } from '@fewbit/core';
import { fewbitError } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import {
  type ActivationSpec,
  compressedTensors,
  type FormatSpec,
  fewbit,
  type IntSpec,
  isKeyValueTensor,
  type KeyValueRounding,
  type Layout,
} from './index.js';

const int8: IntSpec = { kind: 'int', bits: 8, scheme: 'symmetric-full', granularity: { kind: 'tensor' }, scaleType: 'F32' };
const fp8: FormatSpec = { kind: 'float', element: 'e4m3', granularity: { kind: 'tensor' }, scaleType: 'F32' };
const modules = new Map<string, FormatSpec>([['model.layers.0.mlp.up_proj', { ...int8, granularity: { kind: 'channel' } }]]);
const asymmetric: IntSpec = { ...int8, bits: 4, scheme: 'asymmetric' };
const of = (spec: ActivationSpec, params: (scale: number) => unknown): KeyValueRounding => ({
  keys: { spec, params: params(0.5) },
  values: { spec, params: params(0.25) },
});

const ofHeads = (spec: ActivationSpec, params: (scale: number) => unknown): KeyValueRounding => ({
  keys: { spec, params: [params(0.5), params(2)] },
  values: { spec, params: [params(0.25), params(0.125)] },
});

describe('rounded keys and values', () => {
  it.each<[string, Layout, KeyValueRounding]>([
    ['int8', compressedTensors, of({ format: int8, scaling: 'static' }, (scale) => ({ scale, zero: 128 }))],
    ['fp8', compressedTensors, of({ format: fp8, scaling: 'static' }, (scale) => ({ scale }))],
    ['fp8', fewbit, of({ format: fp8, scaling: 'static' }, (scale) => ({ scale }))],
    ['int4', compressedTensors, of({ format: { ...int8, bits: 4 }, scaling: 'static' }, (scale) => ({ scale, zero: 8 }))],
    ['asymmetric int4', compressedTensors, of({ format: asymmetric, scaling: 'static' }, (scale) => ({ scale, zero: 5 }))],
    ['fp8 per head', compressedTensors, ofHeads({ format: fp8, scaling: 'static', perHead: true }, (scale) => ({ scale }))],
    [
      'int4 per head',
      compressedTensors,
      ofHeads({ format: asymmetric, scaling: 'static', perHead: true }, (scale) => ({ scale, zero: 9 })),
    ],
    ['int4 per head', fewbit, ofHeads({ format: asymmetric, scaling: 'static', perHead: true }, (scale) => ({ scale, zero: 9 }))],
    ['asymmetric int8', fewbit, of({ format: { ...int8, scheme: 'asymmetric' }, scaling: 'static' }, (scale) => ({ scale, zero: 3 }))],
    ['int8 per token', fewbit, { keys: { spec: perToken() }, values: { spec: perToken() } }],
  ])('%s are stored in and read from $1.id', (_, layout, rounding) => {
    const { spec } = rounding.keys;
    expect(layout.keyValues!.rejects(spec)).toBeUndefined();
    const tensors = layout.keyValues!.pack(rounding);
    const zeros = spec.format.kind === 'int' && (layout === fewbit || spec.format.scheme === 'asymmetric');
    expect(tensors.size).toBe(spec.scaling === 'dynamic' ? 0 : zeros ? 4 : 2);
    for (const [name, { shape }] of tensors) {
      expect(isKeyValueTensor(`model.layers.0.self_attn.${name}`)).toBe(true);
      expect(shape).toEqual(spec.perHead ? [2, 1, 1] : [1]);
    }
    expect(layout.keyValues!.unpack(tensors, spec, 2)).toEqual(rounding);
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

  it('are read by the names of other writers', () => {
    const scalar = (value: number): Tensor => ({ dtype: 'F32', shape: [], data: new Uint8Array(Float32Array.of(value).buffer) });
    const spec: ActivationSpec = { format: fp8, scaling: 'static' };
    const modelOpt = new Map([
      ['k_proj.k_scale', scalar(0.5)],
      ['v_proj.v_scale', scalar(0.25)],
    ]);
    const scales = of(spec, (scale) => ({ scale }));
    expect(compressedTensors.keyValues!.unpack(modelOpt, spec, 2)).toEqual(scales);
    expect(compressedTensors.keyValues!.unpack(new Map([['kv_scale', scalar(0.5)]]), spec, 2)).toEqual({
      keys: scales.keys,
      values: scales.keys,
    });
    for (const name of ['k_proj.k_scale', 'v_proj.v_scale', 'kv_scale']) {
      expect(isKeyValueTensor(`model.layers.0.self_attn.${name}`)).toBe(true);
    }
    expect(isKeyValueTensor('model.layers.0.self_attn.k_proj.weight_scale')).toBe(false);
  });

  it('are refused where the layout cannot say it, and where a scale is missing or no number', () => {
    expect(compressedTensors.keyValues!.rejects(perToken())).toMatch(/one stored scale for the keys/);
    expect(fewbit.keyValues!.rejects({ format: { ...fp8, granularity: { kind: 'channel' } }, scaling: 'static' })).toMatch(
      /one per tensor/,
    );
    const spec: ActivationSpec = { format: fp8, scaling: 'static' };
    const tensors = compressedTensors.keyValues!.pack(of(spec, (scale) => ({ scale })));
    const only = (name: string) => new Map([...tensors].filter(([key]) => key === name));
    expect(() => compressedTensors.keyValues!.unpack(only('k_scale'), spec, 2)).toThrow(fewbitError('checkpoint', /v_scale/));
    const damaged = new Map(tensors).set('k_scale', { dtype: 'F32', shape: [1], data: new Uint8Array(Float32Array.of(Number.NaN).buffer) });
    expect(() => compressedTensors.keyValues!.unpack(damaged, spec, 2)).toThrow(fewbitError('checkpoint', /k_scale holds NaN/));
    const heads = ofHeads({ ...spec, perHead: true }, (scale) => ({ scale }));
    const perHead = compressedTensors.keyValues!.pack(heads);
    expect(() => compressedTensors.keyValues!.unpack(perHead, heads.keys.spec, 4)).toThrow(
      fewbitError('checkpoint', /k_scale is F32 \[2, 1, 1\]: expected F32 \[4, 1, 1\]/),
    );
    expect(() => compressedTensors.keyValues!.unpack(new Map(), heads.keys.spec, 4)).toThrow(
      fewbitError('checkpoint', /k_scale is missing/),
    );
    for (const layout of [compressedTensors, fewbit]) expect(layout.rejectsActivation!(heads.keys.spec, int8)).toMatch(/heads/);
  });
});

function perToken(): ActivationSpec {
  return { format: { ...int8, granularity: { kind: 'channel' } }, scaling: 'dynamic' };
}
