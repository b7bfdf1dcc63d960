import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FewbitError } from '@fewbit/core';
import { shared } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import { compressedTensors } from '../index.js';

const weights = {
  num_bits: 4,
  type: 'int',
  symmetric: true,
  strategy: 'group',
  group_size: 128,
  block_structure: null,
  dynamic: false,
  actorder: null,
  observer: 'minmax',
  observer_kwargs: {},
};
const group = (targets: string[], changes: object = {}) => ({
  targets,
  weights: { ...weights, ...changes },
  input_activations: null,
  output_activations: null,
});
const config = (changes: object = {}) => ({
  quant_method: 'compressed-tensors',
  format: 'pack-quantized',
  quantization_status: 'compressed',
  ignore: ['lm_head'],
  config_groups: { group_0: group(['Linear']) },
  ...changes,
});
const withWeights = (changes: object) => config({ config_groups: { group_0: group(['Linear'], changes) } });
const format = (value: object, module = 'model.layers.0.mlp.up_proj') => compressedTensors.recognise(value)?.format(module);

describe('recognise', () => {
  it("leaves other methods' configs alone", () => {
    for (const other of [undefined, null, 'gptq', [], {}, { quant_method: 'gptq', bits: 4 }]) {
      expect(compressedTensors.recognise(other)).toBeUndefined();
    }
  });

  it('reads a config of one format', () => {
    expect(format(config())).toEqual({
      kind: 'int',
      bits: 4,
      scheme: 'symmetric-full',
      granularity: { kind: 'group', size: 128 },
      scaleType: 'BF16',
    });
    expect(format(config(), 'lm_head')).toBeUndefined();
  });

  it('infers the strategy from the group size where it is left out', () => {
    expect(format(withWeights({ strategy: null, group_size: 64 }))?.granularity).toEqual({ kind: 'group', size: 64 });
    expect(format(withWeights({ strategy: null, group_size: -1 }))?.granularity).toEqual({ kind: 'channel' });
    const bytes = withWeights({ strategy: undefined, group_size: null, num_bits: 8 });
    expect(format({ ...bytes, format: 'int-quantized' })?.granularity).toEqual({ kind: 'tensor' });
  });

  it('matches exact paths before patterns before Linear, and ignores by path or pattern', () => {
    const several = config({
      ignore: ['re:.*gate$', 'model.layers.9.mlp.up_proj'],
      config_groups: {
        a: group(['Linear'], { num_bits: 4 }),
        b: group(['re:.*layers\\.1\\..*', 're:.*down_proj'], { num_bits: 3 }),
        c: group(['model.layers.1.mlp.up_proj'], { num_bits: 8 }),
        d: { ...group(['re:model\\.layers\\.2\\..*']), weights: null },
      },
    });
    expect(format(several)?.bits).toBe(4);
    expect(format(several, 'model.layers.1.mlp.up_proj')?.bits).toBe(8);
    expect(format(several, 'model.layers.1.mlp.gate_proj')?.bits).toBe(3);
    expect(format(several, 'model.layers.0.mlp.down_proj')?.bits).toBe(3);
    expect(format(several, 'model.layers.0.mlp.gate')).toBeUndefined();
    expect(format(several, 'model.layers.9.mlp.up_proj')).toBeUndefined();
    expect(format(several, 'model.layers.2.mlp.up_proj')).toBeUndefined();
    // anchored at the start only, as Python's re.match
    const anchored = config({ config_groups: { a: group(['re:layers.0']) } });
    expect(format(anchored, 'model.layers.0.mlp.up_proj')).toBeUndefined();
    expect(format(anchored, 'layers.0.mlp.up_proj')?.bits).toBe(4);
  });

  it('reads a format per group', () => {
    const mixed = config({
      format: 'mixed-precision',
      config_groups: {
        a: { ...group(['a']), format: 'pack-quantized' },
        b: { ...group(['b'], { num_bits: 8, strategy: 'tensor', group_size: null }), format: 'int-quantized' },
      },
    });
    expect(format(mixed, 'a')?.granularity.kind).toBe('group');
    expect(format(mixed, 'b')?.granularity.kind).toBe('tensor');
  });

  const refused: [string, object, string, RegExp][] = [
    ['another format', config({ format: 'nvfp4-pack-quantized' }), 'unsupported', /nvfp4-pack-quantized.*pack-quantized and int-quantized/],
    ['mixed precision without formats', config({ format: 'mixed-precision' }), 'unsupported', /mixed-precision/],
    ['float codes', withWeights({ type: 'float' }), 'unsupported', /float4/],
    ['one bit', withWeights({ num_bits: 1 }), 'unsupported', /int1/],
    ['dynamic weights', withWeights({ dynamic: true }), 'unsupported', /dynamic/],
    ['blocks', withWeights({ strategy: 'block', group_size: null, block_structure: [128, 128] }), 'unsupported', /"block"/],
    ['groups without a size', withWeights({ group_size: null }), 'config', /group_size is null/],
    ['a packed tensor scale', withWeights({ strategy: 'tensor', group_size: null }), 'unsupported', /channel or group/],
    [
      'int-quantized of 4 bits',
      { ...withWeights({ strategy: 'channel', group_size: null }), format: 'int-quantized' },
      'unsupported',
      /int8/,
    ],
    ['symmetric that is no boolean', withWeights({ symmetric: 'yes' }), 'config', /symmetric is "yes"/],
    ['a preset', config({ config_groups: { W4A16: ['Linear'] } }), 'unsupported', /W4A16 is a preset/],
    ['no groups', config({ config_groups: null }), 'config', /config_groups is missing/],
    ['targets that are no list', config({ config_groups: { a: { ...group([]), targets: 'Linear' } } }), 'config', /a\.targets/],
    ['a bad pattern', config({ ignore: ['re:(?P<x>a)'] }), 'unsupported', /\(\?P<x>a\)/],
    ['weights not yet quantized', config({ quantization_status: 'calibration' }), 'unsupported', /calibration/],
    ['a quantized KV cache', config({ kv_cache_scheme: { num_bits: 8 } }), 'unsupported', /kv_cache_scheme/],
    ['sparsity', config({ sparsity_config: { format: 'sparse-24-bitmask' } }), 'unsupported', /sparsity_config/],
  ];
  it.each(refused)('refuses %s', (_, value, code, message) => {
    const error = caught(() => compressedTensors.recognise(value));
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it.skipIf(!shared('peers'))('reads what llm-compressor wrote, and names the activations that it cannot read', () => {
    const peer = (name: string) => JSON.parse(readFileSync(join(shared('peers')!, name, 'config.json'), 'utf8')).quantization_config;
    const g32 = { kind: 'group', size: 32 };
    expect(format(peer('llmc-baby-gptq4g32s'))).toMatchObject({ bits: 4, scheme: 'symmetric-full', granularity: g32 });
    expect(format(peer('llmc-baby-gptq4g32a'))).toMatchObject({ bits: 4, scheme: 'asymmetric', granularity: g32 });
    expect(format(peer('llmc-baby-gptq4g32a'), 'lm_head')).toBeUndefined();
    expect(caught(() => format(peer('llmc-baby-w8a8')))).toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(/input_activations \(int8, per token, dynamic\)/),
    });
    for (const name of ['llmc-baby-fp8dyn', 'llmc-baby-mxfp4a16', 'llmc-baby-nvfp4a16']) {
      expect(caught(() => format(peer(name)))).toMatchObject({ code: 'unsupported' });
    }
  });
});

function caught(body: () => unknown): FewbitError {
  try {
    body();
  } catch (error) {
    if (FewbitError.is(error)) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
