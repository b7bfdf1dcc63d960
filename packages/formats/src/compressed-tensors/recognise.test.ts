import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fewbitError, shared } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import { activationName, compressedTensors, formatName, type IntSpec } from '../index.js';

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
const withInputs = (input: object) =>
  config({
    config_groups: { group_0: { ...group(['Linear']), input_activations: { num_bits: 8, type: 'int', symmetric: true, ...input } } },
  });
const format = (value: object, module = 'model.layers.0.mlp.up_proj') =>
  compressedTensors.recognise(value)?.format(module) as IntSpec | undefined;

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

  it('reads what older writers say where no weight is left out', () => {
    const dense = { format: 'dense', global_sparsity: 0.12, ignore: [], sparsity_structure: 'unstructured', targets: [] };
    expect(format(config({ sparsity_config: dense }))).toEqual(format(config()));
  });

  const refused: [string, object, string, RegExp][] = [
    ['another format', config({ format: 'marlin-24' }), 'unsupported', /marlin-24.*pack-quantized, int-quantized/],
    ['mixed precision without formats', config({ format: 'mixed-precision' }), 'unsupported', /mixed-precision/],
    ['float codes', withWeights({ type: 'float' }), 'unsupported', /fp4-e2m1 g128 is not read in pack-quantized/],
    ['float codes of 6 bits', withWeights({ type: 'float', num_bits: 6 }), 'unsupported', /float6/],
    [
      'FP8 called NVFP4',
      { ...withWeights({ type: 'float', num_bits: 8 }), format: 'nvfp4-pack-quantized' },
      'unsupported',
      /that is float-quantized/,
    ],
    ['one bit', withWeights({ num_bits: 1 }), 'unsupported', /int1/],
    ['dynamic weights', withWeights({ dynamic: true }), 'unsupported', /dynamic/],
    [
      'blocks',
      withWeights({ strategy: 'block', group_size: null, block_structure: [128, 128] }),
      'unsupported',
      /block128x128.*integers per channel or group/,
    ],
    ['blocks without a size', withWeights({ strategy: 'block', group_size: null }), 'config', /block_structure is null/],
    ['groups without a size', withWeights({ group_size: null }), 'config', /group_size is null/],
    ['a packed tensor scale', withWeights({ strategy: 'tensor', group_size: null }), 'unsupported', /per channel or group/],
    [
      'asymmetric bytes',
      { ...withWeights({ num_bits: 8, symmetric: false, strategy: 'channel', group_size: null }), format: 'int-quantized' },
      'unsupported',
      /int8 channel asymmetric is not read in int-quantized/,
    ],
    [
      'rounded outputs',
      config({ config_groups: { a: { ...group(['Linear']), output_activations: {} } } }),
      'unsupported',
      /output_activations/,
    ],
    [
      'local inputs that are no NVFP4',
      withInputs({ dynamic: 'local', strategy: 'token' }),
      'unsupported',
      /int8 channel .*with dynamic "local"/,
    ],
    [
      'NVFP4 inputs without a tensor scale',
      withInputs({ num_bits: 4, type: 'float', dynamic: true, strategy: 'tensor_group', group_size: 16 }),
      'unsupported',
      /nvfp4-e2m1 g16 with dynamic true/,
    ],
    ['static inputs per token', withInputs({ dynamic: false, strategy: 'token' }), 'unsupported', /static scales are read per tensor/],
    [
      'inputs that are no object',
      config({ config_groups: { a: { ...group(['Linear']), input_activations: 8 } } }),
      'config',
      /must be an object/,
    ],
    ['symmetric that is no boolean', withWeights({ symmetric: 'yes' }), 'config', /symmetric is "yes"/],
    ['a preset', config({ config_groups: { W4A16: ['Linear'] } }), 'unsupported', /W4A16 is a preset/],
    ['no groups', config({ config_groups: null }), 'config', /config_groups is missing/],
    ['targets that are no list', config({ config_groups: { a: { ...group([]), targets: 'Linear' } } }), 'config', /a\.targets/],
    ['a bad pattern', config({ ignore: ['re:(?P<x>a)'] }), 'unsupported', /\(\?P<x>a\)/],
    ['weights not yet quantized', config({ quantization_status: 'calibration' }), 'unsupported', /calibration/],
    [
      'keys and values per token',
      config({ kv_cache_scheme: { num_bits: 8, strategy: 'token', dynamic: true } }),
      'unsupported',
      /one stored scale/,
    ],
    [
      'keys and values by a scale per head of each token',
      config({ kv_cache_scheme: { num_bits: 8, strategy: 'attn_head', dynamic: true } }),
      'unsupported',
      /one stored scale/,
    ],
    ['inputs per head', withInputs({ strategy: 'attn_head' }), 'unsupported', /input_activations.strategy is "attn_head"/],
    ['a KV cache without a scheme', config({ kv_cache_scheme: 'fp8' }), 'config', /kv_cache_scheme must be an object/],
    ['a rotation called dense', config({ transform_config: { format: 'dense' } }), 'unsupported', /transform_config is set/],
    ['sparsity', config({ sparsity_config: { format: 'sparse-24-bitmask' } }), 'unsupported', /sparsity_config/],
  ];
  it.each(refused)('refuses %s', (_, value, code, message) => {
    expect(() => compressedTensors.recognise(value)).toThrow(fewbitError(code, message));
  });

  it('reads how inputs are rounded', () => {
    const inputs = (input: object) => compressedTensors.recognise(withInputs(input))!.activation!('model.layers.0.mlp.up_proj');
    const int8 = { kind: 'int', bits: 8, scheme: 'symmetric-full', granularity: { kind: 'channel' }, scaleType: 'F32' };
    expect(inputs({ dynamic: true, strategy: 'token' })).toEqual({ format: int8, scaling: 'dynamic' });
    expect(inputs({ dynamic: true, strategy: 'token', symmetric: false })).toEqual({
      format: { ...int8, scheme: 'asymmetric' },
      scaling: 'dynamic',
    });
    expect(inputs({ strategy: 'tensor' })).toEqual({ format: { ...int8, granularity: { kind: 'tensor' } }, scaling: 'static' });
    expect(inputs({ type: 'float', dynamic: true, strategy: 'group', group_size: 128 })).toEqual({
      format: { kind: 'float', element: 'e4m3', granularity: { kind: 'group', size: 128 }, scaleType: 'F32' },
      scaling: 'dynamic',
    });
    expect(compressedTensors.recognise(withInputs({ strategy: 'tensor' }))!.activation!('lm_head')).toBeUndefined();
    expect(compressedTensors.recognise(config())!.activation!('model.layers.0.mlp.up_proj')).toBeUndefined();
  });

  it.skipIf(!shared('peers'))('reads what llm-compressor wrote', () => {
    const peer = (name: string) => JSON.parse(readFileSync(join(shared('peers')!, name, 'config.json'), 'utf8')).quantization_config;
    const name = (of: string) => formatName(format(peer(of))!);
    expect(name('llmc-baby-gptq4g32s')).toBe('int4 g32 symmetric-full');
    expect(name('llmc-baby-gptq4g32a')).toBe('int4 g32 asymmetric');
    expect(format(peer('llmc-baby-gptq4g32a'), 'lm_head')).toBeUndefined();
    expect(name('llmc-baby-w8a8')).toBe('int8 channel symmetric-full');
    expect(name('llmc-baby-fp8dyn')).toBe('fp8-e4m3 channel');
    expect(name('llmc-baby-mxfp4a16')).toBe('mxfp4-e2m1 g32');
    expect(name('llmc-baby-nvfp4a16')).toBe('nvfp4-e2m1 g16');
    const inputs = (of: string) => activationName(compressedTensors.recognise(peer(of))!.activation!('model.layers.0.mlp.up_proj')!);
    expect(inputs('llmc-baby-w8a8')).toBe('int8 per token symmetric-full');
    expect(inputs('llmc-baby-fp8dyn')).toBe('fp8-e4m3 per token');
  });
});
