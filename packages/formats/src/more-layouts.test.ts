import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { atOnce, type Tensor, toFloat32 } from '@fewbit/core';
import { shared } from '@fewbit/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { damageContract } from '../test/damage-contract.js';
import { encoded } from '../test/encoded.js';
import { listed } from '../test/listed.js';
import { readSafetensors } from '../test/read-safetensors.js';
import {
  type ActivationRounding,
  bitsandbytes,
  createFormat,
  encodeMatrix,
  type FormatSpec,
  fewbit,
  fp8,
  type Granularity,
  type Layout,
} from './index.js';

const flat = (size: number): Granularity => ({ kind: 'flat', size });
const bnb = (levels: 'nf4' | 'bnb-fp4', size: number, nested: boolean): FormatSpec => ({
  kind: 'codebook',
  levels,
  bits: 4,
  granularity: flat(size),
  scaleType: 'F32',
  ...(nested && { nested }),
});
const int = (bits: 3 | 8, scheme: 'symmetric-full' | 'asymmetric' | 'symmetric-absmax', granularity: Granularity): FormatSpec => ({
  kind: 'int',
  bits,
  scheme,
  granularity,
  scaleType: 'F32',
});
const block = { kind: 'block', rows: 4, cols: 16 } as const;
const channel = { kind: 'channel' } as const;

const cases: readonly (readonly [Layout, FormatSpec])[] = [
  [bitsandbytes, bnb('nf4', 64, false)],
  [bitsandbytes, bnb('nf4', 32, true)],
  [bitsandbytes, bnb('bnb-fp4', 64, false)],
  [bitsandbytes, bnb('bnb-fp4', 32, true)],
  [bitsandbytes, int(8, 'symmetric-absmax', channel)],
  [fp8, { kind: 'float', element: 'e4m3', granularity: block, scaleType: 'F32' }],
  [fewbit, { kind: 'codebook', levels: 'fitted', bits: 3, granularity: channel, scaleType: 'F16' }],
  [fewbit, { kind: 'codebook', levels: 'fitted', bits: 2, granularity: { kind: 'group', size: 9 }, scaleType: 'BF16' }],
  [fewbit, int(3, 'asymmetric', block)],
  [fewbit, int(8, 'symmetric-full', { kind: 'tensor' })],
  [fewbit, { kind: 'two-level', bits: 3, granularity: { kind: 'group', size: 5 }, scaleBits: 3, scaleRows: 4, scaleType: 'F16' }],
  [fewbit, { kind: 'two-level', bits: 4, granularity: channel, scaleBits: 6, scaleRows: 16, scaleType: 'F32' }],
  [fewbit, { kind: 'float', element: 'e5m2', granularity: block, scaleType: 'F16' }],
  [fewbit, { kind: 'float', element: 'e2m1', granularity: { kind: 'group', size: 8 }, scaleType: 'E8M0' }],
];

const shapes = fc.record({ rows: fc.integer({ min: 1, max: 12 }), cols: fc.integer({ min: 1, max: 40 }), seed: fc.nat() });

describe.each(cases.map(([layout, spec]) => [`${layout.id} ${JSON.stringify(spec)}`, layout, spec] as const))('%s', (_, layout, spec) => {
  it('unpacks what it packed, whatever the shape', () => {
    expect(layout.rejects(spec, 8, 8)).toBeUndefined();
    fc.assert(
      fc.property(shapes, ({ rows, cols, seed }) => {
        const matrix = encoded(spec, rows, cols, seed);
        expect(listed(atOnce(layout.unpack(layout.pack(matrix), spec, rows, cols)))).toEqual(matrix);
      }),
    );
  });

  it('is described and recognised, with what happens to the inputs', () => {
    const inputs = layout.impliedActivation?.(spec);
    if (inputs) expect(layout.rejectsActivation?.(inputs, spec)).toBeUndefined();
    const activations = new Map(inputs ? [['a.b', inputs]] : []);
    const config = layout.describe(new Map([['a.b', spec]]), ['a.c'], { activations });
    const reading = layout.recognise(JSON.parse(JSON.stringify(config)))!;
    expect(reading.layout).toBe(layout);
    const vague = spec.kind === 'codebook' && spec.levels !== 'fitted' ? { ...spec, granularity: flat(64) } : spec; // the size stands in the tensors
    expect(reading.format('a.b')).toEqual(vague);
    expect(reading.activation?.('a.b')).toEqual(inputs);
    for (const other of ['a.c', 'lm_head']) {
      expect(reading.format(other)).toBeUndefined();
      expect(reading.activation?.(other)).toBeUndefined();
    }
    expect(layout.recognise({ quant_method: 'gptq' })).toBeUndefined();
    expect(layout.recognise(null)).toBeUndefined();
  });

  damageContract(
    layout,
    shapes.map(({ rows, cols, seed }) => encoded(spec, rows, cols, seed)),
    (name, damage) => name.includes('quant_state') || (name === 'weight_format' && damage === 'missing'),
  );

  it('refuses a matrix that is not what its spec says', () => {
    const matrix = encoded(spec, 3, 20, 1);
    expect(() => layout.pack({ ...matrix, codes: matrix.codes.slice(1) })).toThrow(/needs 60 codes, got 59/);
    expect(() => layout.pack({ ...matrix, params: matrix.params.slice(1) })).toThrow(/params/);
  });
});

describe('bitsandbytes', () => {
  const spec = bnb('nf4', 64, true);
  const tensors = () => new Map(bitsandbytes.pack(encoded(spec, 4, 64, 1)));
  const state = 'weight.quant_state.bitsandbytes__nf4';
  const stated = (text: string) => {
    const data = new TextEncoder().encode(text);
    return tensors().set(state, { dtype: 'U8', shape: [data.length], data });
  };

  it('puts the first of a pair of codes into the high nibble, and the state as Python writes it', () => {
    const matrix = encoded(spec, 4, 64, 1);
    const packed = bitsandbytes.pack(matrix);
    expect(packed.get('weight')!.data[0]).toBe(matrix.codes[0]! * 16 + matrix.codes[1]!);
    const { offset } = matrix.params[0] as { offset: number };
    expect(new TextDecoder().decode(packed.get(state)!.data)).toBe(
      `{"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [4, 64], "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": ${offset}}`,
    );
  });

  it('takes the block size from the file, and refuses a state that does not fit', () => {
    const wide = encoded(bnb('nf4', 128, true), 4, 64, 1);
    expect(listed(atOnce(bitsandbytes.unpack(bitsandbytes.pack(wide), spec, 4, 64)))).toEqual(wide);
    const refused = (damaged: ReadonlyMap<string, Tensor>, message: RegExp) =>
      expect(() => atOnce(bitsandbytes.unpack(damaged, spec, 4, 64))).toThrow(message);
    refused(stated('not JSON'), /quant_state.bitsandbytes__nf4 is no JSON object/);
    refused(stated('{"blocksize": 0, "shape": [4, 64]}'), /blocksize 0/);
    refused(stated('{"blocksize": 64, "shape": [64, 4]}'), /shape \[64,4\]: expected \[4, 64\]/);
    refused(stated('{"blocksize": 64, "shape": [4, 64], "nested_blocksize": 128, "nested_offset": 1}'), /nested_blocksize 128/);
    refused(stated('{"blocksize": 64, "shape": [4, 64], "nested_blocksize": 256, "nested_offset": "1"}'), /nested_offset "1"/);
    const without = tensors();
    without.delete(state);
    refused(without, /bitsandbytes__nf4 is missing/);
    const map = { ...tensors().get('weight.quant_map')!, data: new Uint8Array(64) };
    refused(tensors().set('weight.quant_map', map), /quant_map holds 0 at 0, where bitsandbytes has -1/);
  });

  it('reads the words of transformers, and refuses what it does not know', () => {
    const config = { quant_method: 'bitsandbytes', load_in_4bit: true, load_in_8bit: false, bnb_4bit_quant_type: 'nf4' };
    const read = (changes: object) => bitsandbytes.recognise({ ...config, ...changes })!;
    expect(read({ llm_int8_skip_modules: null }).format('model.layers.0.mlp.up_proj')).toEqual(bnb('nf4', 64, false));
    expect(read({ llm_int8_skip_modules: ['mlp'] }).format('mlp.up_proj')).toBeUndefined();
    const eight = { load_in_4bit: false, load_in_8bit: true };
    expect(read({ ...eight, llm_int8_threshold: 0 }).activation!('a')).not.toHaveProperty('outlierThreshold');
    expect(read({ ...eight, llm_int8_threshold: 5.5 }).activation!('a')).toMatchObject({ outlierThreshold: 5.5 });
    expect(() => read({ load_in_8bit: true })).toThrow(/one of load_in_4bit and load_in_8bit/);
    expect(() => read({ bnb_4bit_quant_type: 'nf3' })).toThrow(/"nf3" is not read/);
    expect(() => read({ bnb_4bit_quant_storage: 'bfloat16' })).toThrow(/"bfloat16" is not read/);
    expect(() => read({ ...eight, llm_int8_threshold: '6' })).toThrow(/llm_int8_threshold is "6"/);
    expect(() => bitsandbytes.describe(new Map(), [])).toThrow(/No module/);
    expect(() =>
      bitsandbytes.describe(
        new Map([
          ['a', spec],
          ['b', bnb('nf4', 64, false)],
        ]),
        [],
      ),
    ).toThrow(/one format/); // prettier-ignore
    expect(bitsandbytes.rejects(bnb('nf4', 48, false), 4, 4)).toMatch(/blocks of 32 … 4096/);
    expect(bitsandbytes.rejectsActivation!({ format: spec, scaling: 'dynamic' }, spec)).toMatch(/inputs stay in float/);
  });
});

describe('fp8', () => {
  it('is refused where engines differ', () => {
    const config = { quant_method: 'fp8', fmt: 'e4m3', activation_scheme: 'dynamic', weight_block_size: [128, 128] };
    expect(fp8.recognise(config)!.activation!('a')!.format).toMatchObject({ granularity: { kind: 'group', size: 128 } });
    expect(() => fp8.recognise({ ...config, weight_block_size: null })).toThrow(/weight_block_size null is not read/);
    expect(() => fp8.recognise({ ...config, activation_scheme: 'static' })).toThrow(/"static" is not read/);
    expect(() => fp8.recognise({ ...config, scale_fmt: 'ue8m0' })).toThrow(/"ue8m0" is not read/);
    expect(fp8.recognise({ ...config, ignored_layers: ['a.b'] })!.format('a.b')).toBeUndefined();
    expect(fp8.rejects(int(8, 'symmetric-full', channel), 4, 4)).toMatch(/--format fp8 --granularity block/);
  });
});

describe('fewbit', () => {
  it('keeps column groups and static activations', () => {
    const spec: FormatSpec = { kind: 'int', bits: 4, scheme: 'asymmetric', granularity: { kind: 'group', size: 4 }, scaleType: 'F32' };
    const matrix = { ...encoded(spec, 2, 8, 1), columnGroup: Uint32Array.of(1, 0, 0, 1, 0, 1, 0, 1) };
    expect(listed(atOnce(fewbit.unpack(fewbit.pack(matrix), spec, 2, 8)))).toEqual(matrix);
    for (const rounding of [
      { spec: { format: int(8, 'asymmetric', { kind: 'tensor' }), scaling: 'static' }, params: { scale: 0.5, zero: 7 } },
      {
        spec: { format: { kind: 'float', element: 'e5m2', granularity: { kind: 'tensor' }, scaleType: 'F32' }, scaling: 'static' },
        params: { scale: 2 },
      },
      { spec: { format: int(8, 'symmetric-full', channel), scaling: 'dynamic', outlierThreshold: 3 } },
    ] as ActivationRounding[]) {
      expect(fewbit.rejectsActivation!(rounding.spec, spec)).toBeUndefined();
      const config = fewbit.describe(new Map([['a', spec]]), [], { activations: new Map([['a', rounding.spec]]) });
      const reading = fewbit.recognise(JSON.parse(JSON.stringify(config)))!;
      expect(reading.activation!('a')).toEqual(rounding.spec);
      expect(fewbit.unpackActivation!(fewbit.pack(matrix, rounding), rounding.spec)).toEqual(rounding);
    }
    expect(fewbit.rejectsActivation!({ format: int(8, 'symmetric-full', channel), scaling: 'static' }, spec)).toMatch(/one per tensor/);
  });

  it('refuses a config that is not of its version or names what is not listed', () => {
    const good = {
      quant_method: 'fewbit',
      version: 1,
      formats: [int(8, 'symmetric-full', channel)],
      activations: [],
      modules: { a: { format: 0 } },
    };
    const refused = (changes: object, message: RegExp) => {
      expect(() => {
        const reading = fewbit.recognise({ ...good, ...changes })!;
        reading.format('a');
        reading.activation!('a');
      }).toThrow(message);
    };
    refused({ version: 2 }, /version 2 is not read; 1 is/);
    refused({ formats: {} }, /formats must be a list/);
    refused({ formats: [{ kind: 'int', bits: 9 }] }, /quantization_config.formats: Format /);
    refused({ modules: [] }, /modules must be an object/);
    refused({ modules: { a: { format: 3 } } }, /modules\["a"\].format is 3; 1 are listed/);
    refused({ modules: { a: { format: 0, activation: 0 } } }, /activation is 0; 0 are listed/);
    refused({ activations: [{ scaling: 'sometimes' }] }, /scaling is "sometimes"/);
    refused({ activations: [{ scaling: 'dynamic', format: good.formats[0], outlierThreshold: -1 }] }, /outlierThreshold is -1/);
    expect(fewbit.rejects(bnb('nf4', 64, false), 4, 4)).toMatch(/no nf4/);
  });
});

describe.skipIf(!shared('peers') || !shared('models'))('checkpoints of bitsandbytes', () => {
  it.each(['bnb-baby-nf4', 'bnb-baby-nf4dq', 'bnb-baby-fp4', 'bnb-baby-int8'])('%s is what rounding the float model gives', (name) => {
    const reading = bitsandbytes.recognise(
      JSON.parse(readFileSync(join(shared('peers')!, name, 'config.json'), 'utf8')).quantization_config,
    )!;
    const theirs = readSafetensors(join(shared('peers')!, name, 'model.safetensors'));
    const float = readSafetensors(join(shared('models')!, 'babyllama-1m', 'model.safetensors'));
    let [same, absmaxes] = [0, 0];
    for (const [key, tensor] of float) {
      const module = key.replace(/\.weight$/, '');
      const spec = theirs.get(key)?.dtype === tensor.dtype ? undefined : reading.format(module);
      if (!spec) continue;
      const [rows, cols] = tensor.shape as [number, number];
      const packed = bitsandbytes.pack(encodeMatrix({ rows, cols, data: toFloat32(tensor) }, createFormat(spec)));
      expect(Buffer.compare(packed.get('weight')!.data, theirs.get(key)!.data), key).toBe(0);
      const scales = name === 'bnb-baby-int8' ? 'SCB' : 'weight.absmax';
      const [ours, expected] = [packed.get(scales)!.data, theirs.get(`${module}.${scales}`)!.data];
      same += ours.filter((byte, i) => byte === expected[i]).length;
      absmaxes += expected.length;
    }
    // nested: its CPU kernel looks absmaxes up in a table and misses the nearest entry of some
    expect(same / absmaxes).toBeGreaterThan(name === 'bnb-baby-nf4dq' ? 0.98 : 0.999999);
    expect(absmaxes).toBeGreaterThan(0);
  });

  it.each(['bnb-baby-nf4', 'bnb-baby-nf4dq', 'bnb-baby-fp4', 'bnb-baby-int8'])('%s packs again to the same bytes', (name) => {
    const folder = join(shared('peers')!, name);
    const reading = bitsandbytes.recognise(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')).quantization_config)!;
    const tensors = readSafetensors(join(folder, 'model.safetensors'));
    const suffix = name === 'bnb-baby-int8' ? '.SCB' : '.weight.absmax';
    const modules = [...tensors.keys()].filter((key) => key.endsWith(suffix)).map((key) => key.slice(0, -suffix.length));
    expect(modules.length).toBe(35); // 5 blocks of 7
    const sizes: Record<string, [number, number]> = { down_proj: [128, 352], gate_proj: [352, 128], up_proj: [352, 128] };
    for (const module of modules) {
      const local = new Map(
        [...tensors].filter(([key]) => key.startsWith(`${module}.`)).map(([key, t]) => [key.slice(module.length + 1), t]),
      );
      const state = local.get('weight.quant_state.bitsandbytes__nf4') ?? local.get('weight.quant_state.bitsandbytes__fp4');
      const shape = state ? JSON.parse(new TextDecoder().decode(state.data)).shape : local.get('weight')!.shape;
      const [rows, cols] = shape as [number, number];
      if (sizes[module.split('.').at(-1)!]) expect([rows, cols]).toEqual(sizes[module.split('.').at(-1)!]);
      const packed = bitsandbytes.pack(atOnce(bitsandbytes.unpack(local, reading.format(module)!, rows, cols)));
      expect([...packed.keys()].sort()).toEqual([...local.keys()].sort());
      for (const [key, tensor] of local) expect(Buffer.compare(packed.get(key)!.data, tensor.data), `${module}.${key}`).toBe(0);
    }
  });
});
