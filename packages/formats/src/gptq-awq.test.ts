import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { atOnce, random, type Tensor } from '@fewbit/core';
import { fewbitError, shared } from '@fewbit/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { damageContract } from '../test/damage-contract.js';
import { listed } from '../test/listed.js';
import { readSafetensors } from '../test/read-safetensors.js';
import { wordsOf } from './expect-tensor.js';
import { awq, decodeMatrix, gptq, gptqV2, type IntParams, type IntSpec, type Layout, type QuantizedMatrix, tileGrid } from './index.js';
import { intFormat } from './int/int-format.js';

const layouts: readonly { layout: Layout; bits: readonly IntSpec['bits'][]; columnGroups: boolean; leastZero: number; rowUnit: number }[] =
  [
    { layout: gptq, bits: [2, 3, 4, 8], columnGroups: true, leastZero: 1, rowUnit: 1 },
    { layout: gptqV2, bits: [2, 3, 4, 8], columnGroups: true, leastZero: 0, rowUnit: 1 },
    { layout: awq, bits: [4], columnGroups: false, leastZero: 0, rowUnit: 8 },
  ];

for (const { layout, bits, columnGroups, leastZero, rowUnit } of layouts) {
  const matrices = fc
    .record({
      bits: fc.constantFrom(...bits),
      scheme: fc.constantFrom('symmetric-full', 'asymmetric'),
      granularity: fc.oneof(
        fc.constant({ kind: 'channel' } as const),
        fc.record({ kind: fc.constant('group' as const), size: fc.integer({ min: 1, max: 40 }) }),
      ),
      rows: fc.integer({ min: 1, max: 24 }),
      cols: fc.integer({ min: 1, max: 70 }),
      seed: fc.integer(),
      grouped: fc.boolean(),
    })
    .map(({ rows, cols, seed, grouped, ...rest }) =>
      randomMatrix({ kind: 'int', scaleType: 'F16', ...rest } as IntSpec, rows * rowUnit, cols, seed, leastZero, grouped && columnGroups),
    );

  describe(layout.id, () => {
    it('unpacks what it packed, whatever the shape', () => {
      fc.assert(
        fc.property(matrices, (matrix) => {
          expect(listed(atOnce(layout.unpack(layout.pack(matrix), matrix.spec, matrix.rows, matrix.cols)))).toEqual(matrix);
        }),
      );
    });

    damageContract(layout, matrices, (name, damage) => name === 'g_idx' && damage === 'missing');

    it('describes its modules so that it recognises them', () => {
      fc.assert(
        fc.property(matrices, ({ spec, columnGroup }) => {
          const modules = new Map([['model.layers.0.mlp.up_proj', spec]]);
          const grouped = new Set(columnGroup ? modules.keys() : []);
          const config = layout.describe(modules, ['lm_head', 'model.layers.1.mlp.up_proj'], { columnGrouped: grouped });
          const reading = layout.recognise(JSON.parse(JSON.stringify(config)))!;
          expect(reading.layout).toBe(layout);
          expect(reading.format('model.layers.0.mlp.up_proj')).toEqual(spec);
          expect(reading.format('model.layers.1.mlp.up_proj')).toBeUndefined();
          expect(reading.format('lm_head')).toBeUndefined();
        }),
      );
    });

    it('refuses what it cannot hold', () => {
      const spec: IntSpec = { kind: 'int', bits: 4, scheme: 'asymmetric', granularity: { kind: 'group', size: 32 }, scaleType: 'F16' };
      expect(layout.rejects(spec, 64, 64)).toBeUndefined();
      expect(layout.rejects({ ...spec, bits: 5 }, 64, 64)).toMatch(/int5/);
      expect(layout.rejects({ ...spec, scaleType: 'BF16' }, 64, 64)).toMatch(/F16 scales, not BF16/);
      expect(layout.rejects({ ...spec, granularity: { kind: 'tensor' } }, 64, 64)).toMatch(/group or channel/);
      const float = { kind: 'float', element: 'e4m3', granularity: { kind: 'channel' }, scaleType: 'F32' } as const;
      expect(layout.rejects(float, 64, 64)).toMatch(/integers, not fp8/);
      expect(layout.caution?.(spec, 64, 48)).toMatch(/ragged group/);
      expect(layout.caution?.(spec, 64, 64)).toBeUndefined();
      expect(layout.recognise(undefined)).toBeUndefined();
      expect(layout.recognise({ quant_method: 'fp8' })).toBeUndefined();
      expect(() => layout.describe(new Map(), [])).toThrow(/No module is quantized/);
    });
  });
}

describe('words on disk', () => {
  const one = (codes: readonly number[], spec: Partial<IntSpec>, zero: number, layout: Layout, shape: [number, number]) => {
    const full: IntSpec = { kind: 'int', bits: 4, scheme: 'symmetric-full', granularity: { kind: 'channel' }, scaleType: 'F16', ...spec };
    const params = Array.from({ length: shape[0] }, () => ({ scale: 1, zero }));
    return layout.pack({ rows: shape[0], cols: shape[1], spec: full, codes: Uint8Array.from(codes), params });
  };
  const words = (tensors: ReadonlyMap<string, Tensor>, name: string) => [...wordsOf(tensors.get(name)!)];
  const upTo = (count: number, modulus: number, from = 0) => Array.from({ length: count }, (_, i) => (i + from) % modulus);

  it('of GPTQ go along the inputs, low bits first, 3-bit codes across word borders', () => {
    expect(words(one([1, 2, 3, 4, 5, 6, 7, 8], {}, 8, gptq, [1, 8]), 'qweight')).toEqual([0x87654321]);
    expect(words(one(upTo(32, 8), { bits: 3 }, 4, gptq, [1, 32]), 'qweight')).toEqual([0x88fac688, 0xc688fac6, 0xfac688fa]);
  });

  it('of GPTQ hold zero points less 1 in version 1, as they are in version 2', () => {
    const zeros = (bits: IntSpec['bits'], layout: Layout) =>
      words(one(upTo(32, 1), { bits }, 2 ** (bits - 1), layout, [32, 1]), 'qzeros').slice(0, 3);
    expect(zeros(4, gptq).at(0)).toBe(0x77777777);
    expect(zeros(8, gptq).at(0)).toBe(0x7f7f7f7f);
    expect(zeros(2, gptq).at(0)).toBe(0x55555555);
    expect(zeros(3, gptq)).toEqual([0xdb6db6db, 0xb6db6db6, 0x6db6db6d]);
    expect(zeros(4, gptqV2).at(0)).toBe(0x88888888);
    expect(zeros(3, gptqV2)).toEqual([0x24924924, 0x49249249, 0x92492492]);
  });

  it('of AWQ go along the outputs, interleaved', () => {
    expect(words(one(upTo(8, 9, 1), {}, 8, awq, [8, 1]), 'qweight')).toEqual([0x86427531]);
    expect(words(one(upTo(8, 8), {}, 8, awq, [8, 1]), 'qweight')).toEqual([0x75316420]);
    expect(words(one(upTo(8, 8), {}, 8, awq, [8, 1]), 'qzeros')).toEqual([0x88888888]);
  });

  it('are not written where a reader would mistake them', () => {
    expect(() => one([1], { scheme: 'asymmetric' }, 0, gptq, [1, 1])).toThrow(/Output 0, group 0 has the zero point 0.*gptq-v2/);
    const grouped = randomMatrix(
      { kind: 'int', bits: 4, scheme: 'asymmetric', granularity: { kind: 'group', size: 4 }, scaleType: 'F16' },
      8,
      8,
      1,
      1,
      true,
    );
    expect(() => awq.pack(grouped)).toThrow(/no g_idx/);
    expect(() => awq.pack({ ...grouped, rows: 4, cols: 16 })).toThrow(/no multiple of 8/);
    const signed = gptq.pack({ ...grouped });
    expect(() => atOnce(gptq.unpack(signed, { ...grouped.spec, scheme: 'symmetric-full' } as IntSpec, 8, 8))).toThrow(
      /Tensor qzeros holds the zero point \d+ for output \d, group \d: expected 8/,
    );
  });
});

describe('configs of other programs', () => {
  it('of GPTQ: versions, overrides by pattern, lists of modules', () => {
    const config = { quant_method: 'gptq', bits: 4, group_size: 128, desc_act: false, sym: true };
    expect(gptq.recognise({ ...config, format: 'gptq_v2' })).toBeUndefined();
    const second = gptqV2.recognise({ ...config, checkpoint_format: 'gptq_v2' })!;
    expect(second.layout).toBe(gptqV2);
    expect(second.format('model.layers.0.mlp.up_proj')).toMatchObject({ bits: 4, granularity: { kind: 'group', size: 128 } });
    const dynamic = { '-:.*down_proj': {}, '+:.*\\.1\\..*': { bits: 8, group_size: -1 }, '.*up_proj': { sym: false } };
    const reading = gptq.recognise({ ...config, dynamic })!;
    expect(reading.format('model.layers.1.mlp.down_proj')).toBeUndefined();
    expect(reading.format('model.layers.1.mlp.up_proj')).toMatchObject({ bits: 8, granularity: { kind: 'channel' } });
    expect(reading.format('model.layers.0.mlp.up_proj')).toMatchObject({ bits: 4, scheme: 'asymmetric' });
    const listed = gptq.recognise({ ...config, modules_in_block_to_quantize: [['self_attn.q_proj'], ['mlp.up_proj']] })!;
    expect(listed.format('model.layers.0.mlp.up_proj')).toMatchObject({ bits: 4, scheme: 'symmetric-full' });
    expect(listed.format('model.layers.0.mlp.down_proj')).toBeUndefined();
    for (const [changes, code, message] of [
      [{ checkpoint_format: 'marlin' }, 'unsupported', /"marlin" is not read/],
      [{ pack_dtype: 'int16' }, 'unsupported', /int16/],
      [{ bits: 5 }, 'config', /bits is 5/],
      [{ sym: 'no' }, 'config', /sym is "no"/],
      [{ group_size: 0 }, 'config', /group_size is 0/],
      [{ dynamic: [] }, 'config', /dynamic must be/],
      [{ dynamic: { '(?P<x>a)': {} } }, 'unsupported', /no regular expression/],
      [{ modules_in_block_to_quantize: 'mlp' }, 'config', /must be a list/],
    ] as const) {
      expect(() => gptq.recognise({ ...config, ...changes })).toThrow(fewbitError(code, message));
    }
  });

  it('of AWQ: both spellings, modules left alone', () => {
    const reading = awq.recognise({ quant_method: 'awq', w_bit: 4, q_group_size: 64, zero_point: true, version: 'GEMM' })!;
    expect(reading.format('model.layers.0.mlp.up_proj')).toMatchObject({ scheme: 'asymmetric', granularity: { kind: 'group', size: 64 } });
    const config = {
      quant_method: 'awq',
      bits: 4,
      group_size: -1,
      zero_point: true,
      modules_to_not_convert: ['mlp.gate', 'model.layers.0'],
    };
    const skipping = awq.recognise(config)!;
    expect(skipping.format('model.layers.1.mlp.gate')).toBeUndefined();
    expect(skipping.format('model.layers.1.mlp.gate_proj')).toMatchObject({ granularity: { kind: 'channel' } });
    expect(skipping.format('model.layers.0.mlp.up_proj')).toBeUndefined();
    for (const [changes, code, message] of [
      [{ version: 'gemv' }, 'unsupported', /"gemv" is not read/],
      [{ bits: 3 }, 'unsupported', /3 bits/],
      [{ zero_point: false }, 'unsupported', /zero_point: false/],
      [{ group_size: 'all' }, 'config', /group_size is "all"/],
      [{ modules_to_not_convert: 'lm_head' }, 'config', /must be a list/],
    ] as const) {
      expect(() => awq.recognise({ ...config, ...changes })).toThrow(fewbitError(code, message));
    }
  });

  it('of AWQ hold one format', () => {
    const spec: IntSpec = { kind: 'int', bits: 4, scheme: 'asymmetric', granularity: { kind: 'channel' }, scaleType: 'F16' };
    const modules = new Map([
      ['a', spec],
      ['b', { ...spec, granularity: { kind: 'group', size: 32 } } as IntSpec],
    ]);
    expect(() => awq.describe(modules, [])).toThrow(/one format, not int4 channel asymmetric beside int4 g32 asymmetric/);
    expect(gptq.describe(modules, [])).toMatchObject({ group_size: -1, dynamic: { '+:^b$': { group_size: 32 } } });
  });
});

describe.skipIf(!shared('peers'))('checkpoints of GPTQModel', () => {
  it.each(['gm-baby-4g32s', 'gm-baby-4g32a'])('%s packs again to the same bytes', (name) => {
    const folder = join(shared('peers')!, name);
    const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
    const reading = gptq.recognise(config.quantization_config)!;
    const tensors = readSafetensors(join(folder, 'model.safetensors'));
    const modules = [...tensors.keys()].filter((key) => key.endsWith('.qweight')).map((key) => key.slice(0, -'.qweight'.length));
    expect(modules.length).toBeGreaterThan(0);
    for (const module of modules) {
      const local = new Map(
        [...tensors].filter(([key]) => key.startsWith(`${module}.`)).map(([key, t]) => [key.slice(module.length + 1), t]),
      );
      const [words, rows] = local.get('qweight')!.shape as [number, number];
      const matrix = atOnce(gptq.unpack(local, reading.format(module)!, rows, words * 8));
      expect(decodeMatrix(matrix).data.every(Number.isFinite)).toBe(true);
      const packed = gptq.pack(matrix);
      for (const [key, tensor] of local) expect(Buffer.compare(packed.get(key)!.data, tensor.data), `${module}.${key}`).toBe(0);
    }
  });
});

function randomMatrix(
  spec: IntSpec,
  rows: number,
  cols: number,
  seed: number,
  leastZero: number,
  grouped: boolean,
): QuantizedMatrix<IntParams> {
  const { below } = random(seed);
  const levels = 2 ** spec.bits;
  const grid = tileGrid(intFormat(spec), rows, cols);
  const codes = Uint8Array.from({ length: rows * cols }, () => below(levels));
  const zero = () => (spec.scheme === 'asymmetric' ? leastZero + below(levels - leastZero) : levels / 2);
  const params = Array.from({ length: grid.count }, (): IntParams => ({ scale: (1 + below(1000)) / 1024, zero: zero() }));
  const matrix = { rows, cols, spec, codes, params };
  if (!grouped || spec.granularity.kind !== 'group') return matrix;
  const columnGroup = Uint32Array.from({ length: cols }, () => below(grid.across));
  const { size } = spec.granularity;
  const natural = columnGroup.every((group, column) => group === Math.floor(column / size));
  return natural ? matrix : { ...matrix, columnGroup };
}
