import { type FloatSpec, type FormatSpec, formatName, type IntSpec } from '@fewbit/formats';
import { linears, planModel } from '@fewbit/models';
import { fewbitError, goldenModel } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import { parseActivation } from './activations.js';
import { type Candidate, requireTarget, targetNames, targetProblems, targetsOf } from './targets.js';

const plan = planModel({
  ...goldenModel('llama').config(),
  hidden_size: 256,
  intermediate_size: 640,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 64,
});
const int = (changes: Partial<IntSpec> = {}): IntSpec => ({
  kind: 'int',
  bits: 4,
  scheme: 'symmetric-full',
  granularity: { kind: 'group', size: 128 },
  scaleType: 'F16',
  ...changes,
});
const of = (layout: string, spec: FormatSpec): Candidate => ({ layout, plan, format: () => spec });
const block = { kind: 'block', rows: 96, cols: 128 } as const;

describe('targets', () => {
  const refused: [string, string, FormatSpec, RegExp][] = [
    ['vllm', 'gptq', int({ scheme: 'asymmetric' }), /int4 g128 asymmetric is not loaded: use --symmetric/],
    ['vllm', 'gptq', int({ bits: 3 }), /int3 g128 symmetric-full is not loaded/],
    ['vllm', 'gptq', int({ granularity: { kind: 'group', size: 16 } }), /groups of 16 are not loaded: use --group 32, 64, 128/],
    ['vllm', 'compressed-tensors', int({ granularity: { kind: 'group', size: 96 } }), /256 inputs are not a multiple of the group 96/],
    ['vllm', 'compressed-tensors', int({ bits: 3, scheme: 'asymmetric' }), /asymmetric integers have 4 or 8 bits/],
    ['vllm', 'compressed-tensors', int({ bits: 8, granularity: { kind: 'tensor' } }), /--granularity channel or group/],
    ['vllm', 'fp8', { kind: 'float', element: 'e4m3', granularity: block, scaleType: 'F32' }, /multiple of the block 96/],
    [
      'transformers',
      'fp8',
      { kind: 'float', element: 'e4m3', granularity: block, scaleType: 'F32' },
      /are not multiples of the block 96x128/,
    ],
    ['vllm', 'bnb', int(), /vllm does not read layout bnb: use --layout compressed-tensors, gptq, awq, fp8/],
    ['gptqmodel', 'gptq', int({ granularity: { kind: 'group', size: 20 } }), /groups of 20/],
    ['llama.cpp', 'gptq', int(), /use --layout gguf/],
  ];
  it.each(refused)('%s refuses %s with %j', (target, layout, spec, message) => {
    expect(targetProblems(target, of(layout, spec))[0]).toMatch(message);
    expect(() => requireTarget(target, of(layout, spec))).toThrow(fewbitError('unsupported', message));
  });

  it('name the engines that load a model', () => {
    expect(targetsOf(of('compressed-tensors', int()))).toEqual(['vllm', 'transformers']);
    expect(targetsOf(of('gptq', int()))).toEqual(['vllm', 'transformers', 'gptqmodel']);
    expect(targetsOf(of('gptq', int({ scheme: 'asymmetric' })))).toEqual(['transformers', 'gptqmodel']);
    expect(targetsOf(of('bnb', int()))).toEqual(['transformers', 'bitsandbytes']);
    expect(targetsOf(of('gguf', { kind: 'ggml', type: 'q4_0' }))).toEqual(['llama.cpp']);
    expect(targetsOf(of('fewbit', int()))).toEqual([]);
    expect(() => targetProblems('tgi', of('gptq', int()))).toThrow(fewbitError('usage', new RegExp(targetNames.join(', '))));
  });

  it('want fused layers alike, where they fuse them', () => {
    const odd = linears(plan).find(({ module }) => module.endsWith('k_proj'))!.module;
    const mixed: Candidate = { layout: 'compressed-tensors', plan, format: (module) => (module === odd ? undefined : int()) };
    expect(targetProblems('vllm', mixed)[0]).toMatch(/q_proj, .*k_proj, .*v_proj become one matrix .* not int4 g128 symmetric-full, float/);
    expect(targetProblems('transformers', mixed)).toEqual([]);
    const scaled: Candidate = { ...of('compressed-tensors', int()), shared: (module) => `scale ${module === odd ? 2 : 3}` };
    expect(targetProblems('vllm', scaled)).toEqual([expect.stringMatching(/must have one tensor scale, not scale 3, scale 2/)]);
    expect(targetProblems('transformers', scaled)).toEqual([]);
  });

  it('want weights and inputs of which they have products', () => {
    const fp8 = (granularity: FloatSpec['granularity']): FormatSpec => ({ kind: 'float', element: 'e4m3', granularity, scaleType: 'F32' });
    const channel = { kind: 'channel' } as const;
    const problems = (spec: FormatSpec, activations: string) =>
      targetProblems('vllm', { ...of('compressed-tensors', spec), activation: () => parseActivation(activations) });
    const int8 = int({ bits: 8, granularity: channel });
    for (const [spec, activations] of [
      [int8, 'int8'],
      [int({ bits: 8, granularity: { kind: 'tensor' } }), 'int8-static'],
      [int(), 'int8'],
      [int({ scaleType: 'BF16' }), 'fp8'],
      [fp8(channel), 'fp8'],
      [fp8({ kind: 'tensor' }), 'fp8-static'],
      [fp8(channel), 'none'],
    ] as const)
      expect(problems(spec, activations), `${formatName(spec)} ${activations}`).toEqual([]);
    for (const [spec, activations, advice] of [
      [
        int({ bits: 8, scheme: 'asymmetric', granularity: channel }),
        'int8',
        /by inputs int8 per token .* no product that it has: use --symmetric/,
      ],
      [int({ bits: 8 }), 'int8', /use --group -1/],
      [int(), 'fp8', /scales must be BF16, not F16; start from the model in bfloat16/],
      [int({ granularity: channel }), 'fp8', /use --format int4 --symmetric --group 128 with --activations fp8/],
      [int8, 'fp8', /int8 channel symmetric-full by inputs fp8-e4m3 per token/],
      [fp8(channel), 'int8', /round weights and inputs alike/],
      [fp8(channel), 'mxfp8', /to the same format/],
      [fp8({ kind: 'group', size: 128 }), 'none', /FP8 has no groups there/],
    ] as const)
      expect(problems(spec, activations)[0], `${formatName(spec)} ${activations}`).toMatch(advice);
    const narrow: Candidate = {
      ...of('compressed-tensors', int({ scaleType: 'BF16' })),
      plan: planModel({ ...goldenModel('llama').config(), hidden_size: 256, intermediate_size: 704, num_attention_heads: 4, head_dim: 64 }),
      activation: () => parseActivation('fp8'),
    };
    expect(targetProblems('vllm', narrow)).toContainEqual(
      expect.stringMatching(/gate_proj.*704 outputs and 256 inputs must be multiples of 128/),
    );
    const tensor = of('compressed-tensors', int({ bits: 8, granularity: { kind: 'tensor' } }));
    expect(targetProblems('transformers', tensor)[0]).toMatch(/--granularity channel or group/);
  });

  it('want keys and values as their cache has them', () => {
    const granularity = { kind: 'tensor' } as const;
    const cached = (format: FormatSpec): Candidate => ({ ...of('compressed-tensors', int()), keyValues: { format, scaling: 'static' } });
    expect(targetProblems('vllm', cached(int({ bits: 8, granularity })))).toEqual([expect.stringMatching(/use --kv fp8/)]);
    expect(targetProblems('vllm', cached({ kind: 'float', element: 'e4m3', granularity, scaleType: 'F32' }))).toEqual([]);
    expect(targetProblems('transformers', cached(int({ bits: 8, granularity })))).toEqual([]);
  });

  it('know who has given up groups of columns out of order', () => {
    const grouped: Candidate = { ...of('compressed-tensors', int()), columnGrouped: () => true };
    expect(targetsOf(grouped)).toEqual(['vllm']);
    expect(targetProblems('transformers', grouped)[0]).toMatch(/weight_g_idx.*use --layout gptq/);
    expect(targetsOf({ ...grouped, layout: 'gptq' })).toContain('transformers');
  });

  it('know that packed words and Conv1D have limits', () => {
    const narrow: Candidate = {
      ...of('gptq', int({ bits: 3, granularity: { kind: 'channel' } })),
      plan: planModel(goldenModel('llama').config()),
    };
    expect(targetProblems('gptqmodel', narrow)[0]).toMatch(/not multiples of 32, the codes of a word/);
    const gpt2: Candidate = {
      ...of('compressed-tensors', int({ granularity: { kind: 'channel' } })),
      plan: planModel(goldenModel('gpt2').config()),
    };
    expect(targetProblems('transformers', gpt2)[0]).toMatch(/Conv1D.*--layout gptq/);
  });
});
