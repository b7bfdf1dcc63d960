import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { atOnce } from '@fewbit/core';
import { shared } from '@fewbit/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { damageContract } from '../../test/damage-contract.js';
import { encoded } from '../../test/encoded.js';
import { listed } from '../../test/listed.js';
import { readSafetensors } from '../../test/read-safetensors.js';
import {
  type ActivationRounding,
  type ActivationSpec,
  compressedTensors,
  type FloatSpec,
  type FormatSpec,
  type QuantizedMatrix,
} from '../index.js';

const float = (element: FloatSpec['element'], granularity: FloatSpec['granularity'], scaleType: FloatSpec['scaleType']): FloatSpec => ({
  kind: 'float',
  element,
  granularity,
  scaleType,
});
const group = (size: number) => ({ kind: 'group', size }) as const;
const stored: Record<string, FloatSpec> = {
  'float-quantized per tensor': float('e4m3', { kind: 'tensor' }, 'F32'),
  'float-quantized per channel': float('e4m3', { kind: 'channel' }, 'BF16'),
  'float-quantized per group': float('e4m3', group(24), 'F16'),
  'float-quantized per block': float('e4m3', { kind: 'block', rows: 4, cols: 16 }, 'F32'),
  'nvfp4-pack-quantized': float('e2m1', group(16), 'E4M3'),
  'mxfp4-pack-quantized': float('e2m1', group(32), 'E8M0'),
  'mxfp8-quantized': float('e4m3', group(32), 'E8M0'),
};

const shapes = fc.record({ rows: fc.integer({ min: 1, max: 12 }), cols: fc.integer({ min: 1, max: 70 }), seed: fc.nat() });

describe.each(Object.entries(stored))('%s', (title, spec) => {
  it('unpacks what it packed, whatever the shape', () => {
    fc.assert(
      fc.property(shapes, ({ rows, cols, seed }) => {
        const matrix = encoded(spec, rows, cols, seed);
        const vague = spec.scaleType === 'F16' || spec.scaleType === 'F32' ? { ...spec, scaleType: 'BF16' as const } : spec;
        expect(listed(atOnce(compressedTensors.unpack(compressedTensors.pack(matrix), vague, rows, cols)))).toEqual(matrix);
      }),
    );
  });

  it('is described and recognised', () => {
    const config = compressedTensors.describe(new Map([['a', spec]]), []);
    expect(config.format).toBe(title.split(' ')[0]);
    const read = compressedTensors.recognise(JSON.parse(JSON.stringify(config)))!.format('a') as FloatSpec;
    const { scaleType } = spec;
    expect(read).toEqual({ ...spec, scaleType: scaleType === 'E4M3' || scaleType === 'E8M0' ? scaleType : 'BF16' });
  });

  damageContract(
    compressedTensors,
    shapes.map(({ rows, cols, seed }) => encoded(spec, rows, cols, seed)),
  );
});

describe('floats of compressed-tensors', () => {
  it('are refused where it has none, or where params are not those of the spec', () => {
    expect(compressedTensors.rejects(float('e5m2', { kind: 'channel' }, 'F32'), 4, 4)).toMatch(/no fp8-e5m2 channel/);
    expect(compressedTensors.rejects(float('e2m1', group(16), 'E8M0'), 4, 4)).toMatch(/groups of 32/);
    const matrix = encoded(stored['float-quantized per channel']!, 2, 8, 1);
    const refused = (changes: Partial<QuantizedMatrix>, message: RegExp) =>
      expect(() => compressedTensors.pack({ ...matrix, ...changes })).toThrow(message);
    refused({ codes: matrix.codes.slice(1) }, /needs 16 codes, got 15/);
    refused({ params: matrix.params.slice(1) }, /has 2 tiles, got 1/);
    refused({ params: [{ scale: Number.NaN }, { scale: 1 }] }, /scale NaN/);
    refused({ params: [{ scale: 0.1 }, { scale: 1 }] }, /Scale 0.1 is no BF16/);
    refused({ columnGroup: new Uint32Array(8) }, /cannot have a columnGroup/);
    const nv = encoded(stored['nvfp4-pack-quantized']!, 2, 32, 1);
    expect(() => compressedTensors.pack({ ...nv, codes: nv.codes.map(() => 16) })).toThrow(/holds code 16 at 0/);
    const torn = nv.params.map((params, i) => ({ ...(params as object), divisor: i }));
    expect(() => compressedTensors.pack({ ...nv, params: torn })).toThrow(/share one divisor/);
  });

  it('with damaged scales are refused', () => {
    const spec = stored['nvfp4-pack-quantized']!;
    const tensors = new Map(compressedTensors.pack(encoded(spec, 1, 16, 1)));
    const nan = new Map(tensors).set('weight_scale', { dtype: 'F8_E4M3', shape: [1, 1], data: Uint8Array.of(0x7f) });
    expect(() => atOnce(compressedTensors.unpack(nan, spec, 1, 16))).toThrow(/Tensor weight_scale holds NaN at 0/);
    const zero = new Map(tensors).set('weight_global_scale', { dtype: 'F32', shape: [1], data: new Uint8Array(4) });
    expect(() => atOnce(compressedTensors.unpack(zero, spec, 1, 16))).toThrow(/weight_global_scale holds 0/);
  });
});

const int8 = (
  granularity: FormatSpec & { kind: 'int' } extends { granularity: infer G } ? G : never,
  scheme = 'symmetric-full',
): FormatSpec => ({ kind: 'int', bits: 8, scheme, granularity, scaleType: 'F32' }) as FormatSpec;
const roundings: Record<string, ActivationRounding> = {
  'int8 per token': { spec: { format: int8({ kind: 'channel' }), scaling: 'dynamic' } },
  'int8 static': { spec: { format: int8({ kind: 'tensor' }), scaling: 'static' }, params: { scale: 0.25, zero: 128 } },
  'int8 static, asymmetric': {
    spec: { format: int8({ kind: 'tensor' }, 'asymmetric'), scaling: 'static' },
    params: { scale: 0.25, zero: 3 },
  },
  'fp8 per token': { spec: { format: float('e4m3', { kind: 'channel' }, 'F32'), scaling: 'dynamic' } },
  'fp8 static': { spec: { format: float('e4m3', { kind: 'tensor' }, 'F32'), scaling: 'static' }, params: { scale: 0.5 } },
  mxfp4: { spec: { format: float('e2m1', { kind: 'group', size: 32 }, 'E8M0'), scaling: 'dynamic' } },
  mxfp8: { spec: { format: float('e4m3', { kind: 'group', size: 32 }, 'E8M0'), scaling: 'dynamic' } },
  nvfp4: { spec: { format: float('e2m1', { kind: 'group', size: 16 }, 'E4M3'), scaling: 'local' }, params: { divisor: 300.5 } },
};

describe('rounded inputs of compressed-tensors', () => {
  it.each(Object.entries(roundings))('%s are packed, described and read', (_, rounding) => {
    const weight = int8({ kind: 'channel' });
    expect(compressedTensors.rejectsActivation!(rounding.spec, weight)).toBeUndefined();
    const matrix = encoded(weight, 3, 8, 1);
    const tensors = compressedTensors.pack(matrix, rounding);
    const config = compressedTensors.describe(new Map([['a', weight]]), [], { activations: new Map([['a', rounding.spec]]) });
    const reading = compressedTensors.recognise(JSON.parse(JSON.stringify(config)))!;
    expect(config.config_groups).toMatchObject({ group_0: { format: config.format } });
    expect(config.format).toBe(rounding.spec.format.kind === 'int' ? 'int-quantized' : 'pack-quantized');
    expect(reading.activation!('a')).toEqual(rounding.spec);
    expect(compressedTensors.unpackActivation!(tensors, reading.activation!('a')!)).toEqual(rounding);
    expect(listed(atOnce(compressedTensors.unpack(tensors, reading.format('a')!, 3, 8)))).toEqual(matrix);
    expect(tensors.has('input_scale')).toBe(rounding.spec.scaling === 'static');
    expect(tensors.has('input_global_scale')).toBe(rounding.spec.scaling === 'local');
  });

  it('are refused where it cannot say them', () => {
    const why = (changes: Partial<ActivationSpec>) =>
      compressedTensors.rejectsActivation!(
        { format: int8({ kind: 'channel' }), scaling: 'dynamic', ...changes },
        int8({ kind: 'channel' }),
      );
    expect(why({ outlierThreshold: 6 })).toMatch(/features reaching 6 in float: no outliers/);
    expect(why({ scaling: 'static' })).toMatch(/one per tensor/);
    expect(why({ format: int8({ kind: 'channel' }, 'symmetric-restricted') })).toMatch(/absmax\/127.5/);
    expect(why({ format: int8({ kind: 'block', rows: 2, cols: 2 }) })).toMatch(/per token, tensor or group/);
    expect(why({ format: float('e5m2', { kind: 'channel' }, 'F32') })).toMatch(/E4M3/);
    expect(why({ scaling: 'local' })).toMatch(/integers have no tensor scale/);
    const nvfp4 = float('e2m1', { kind: 'group', size: 16 }, 'E4M3');
    expect(why({ format: nvfp4 })).toMatch(/under a calibrated tensor scale/);
    expect(why({ format: float('e4m3', { kind: 'channel' }, 'F32'), scaling: 'local' })).toMatch(/NVFP4 alone/);
    expect(why({ format: float('e2m1', { kind: 'group', size: 16 }, 'E8M0') })).toMatch(/groups of 32/);
    const local: ActivationSpec = { format: nvfp4, scaling: 'local' };
    const zero = new Map([['input_global_scale', { dtype: 'F32', shape: [1], data: new Uint8Array(4) } as const]]);
    expect(() => compressedTensors.unpackActivation!(zero, local)).toThrow(/input_global_scale holds 0: expected a positive number/);
    const spec: ActivationSpec = { format: int8({ kind: 'tensor' }), scaling: 'static' };
    expect(() => compressedTensors.pack(encoded(int8({ kind: 'channel' }), 1, 2, 1), { spec })).toThrow(/needs its params/);
    expect(() => compressedTensors.unpackActivation!(new Map(), spec)).toThrow(/Tensor input_scale is missing/);
  });
});

describe.skipIf(!shared('peers'))('floats of llm-compressor', () => {
  it.each(['llmc-baby-w8a8', 'llmc-baby-fp8dyn', 'llmc-baby-nvfp4a16', 'llmc-baby-mxfp4a16'])(
    '%s packs again to the same bytes',
    (name) => {
      const folder = join(shared('peers')!, name);
      const reading = compressedTensors.recognise(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')).quantization_config)!;
      const tensors = readSafetensors(join(folder, 'model.safetensors'));
      const modules = [...tensors.keys()]
        .filter((key) => key.endsWith('.weight_scale'))
        .map((key) => key.slice(0, -'.weight_scale'.length));
      expect(modules.length).toBe(35); // 5 blocks of 7
      for (const module of modules) {
        const local = new Map(
          [...tensors].filter(([key]) => key.startsWith(`${module}.`)).map(([key, t]) => [key.slice(module.length + 1), t]),
        );
        const weight = local.get('weight') ?? local.get('weight_packed')!;
        const [rows, cols] = [weight.shape[0]!, weight.shape[1]! * (weight.dtype === 'U8' ? 2 : 1)];
        const activation = reading.activation!(module);
        const matrix = atOnce(compressedTensors.unpack(local, reading.format(module)!, rows, cols));
        const packed = compressedTensors.pack(matrix, activation && { spec: activation });
        expect([...packed.keys()].sort()).toEqual([...local.keys()].sort());
        for (const [key, tensor] of local) expect(Buffer.compare(packed.get(key)!.data, tensor.data), `${module}.${key}`).toBe(0);
      }
    },
  );
});
