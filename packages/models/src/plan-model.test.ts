import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fewbitError, goldenModel, goldenModels } from '@fewbit/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkTensors, linears, type ModelPlan, planModel } from './index.js';

type Name = Parameters<typeof goldenModel>[0];
const cases = goldenModels.map(({ name }) => name as Name);
const config = (name: Name) => goldenModel(name).config();
/** Shapes by name, from the header of the weights. */
function tensors(name: Name): Map<string, { shape: number[] }> {
  const bytes = readFileSync(join(goldenModel(name).folder, 'model.safetensors'));
  const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString()) as Record<string, { shape: number[] }>;
  return new Map(Object.entries(header).filter(([key]) => key !== '__metadata__'));
}

/** A plan whose names are all noted as they are looked up. */
function neededBy(plan: ModelPlan, found: Map<string, { shape: number[] }>): string[] {
  const asked = new Set<string>();
  checkTensors(plan, {
    ...found,
    get(name: string) {
      asked.add(name);
      return found.get(name);
    },
  } as ReadonlyMap<string, { shape: number[] }>);
  return [...asked].sort();
}

describe('planModel', () => {
  it.each(cases)('%s: needs just the tensors that transformers saves, in their shapes', (name) => {
    const found = tensors(name);
    const plan = planModel(config(name), found);
    expect(neededBy(plan, found)).toEqual([...found.keys()].sort());
    expect(plan.architecture).toBe(config(name).model_type);
    expect(plan.head.tied).toBe(config(name).tie_word_embeddings);
  });

  it('llama: grouped heads, biases on request', () => {
    const { blocks, head, finalNorm, ...plan } = planModel(config('llama'));
    expect(plan).toMatchObject({
      hidden: 32,
      vocabulary: 64,
      maxPositions: 64,
      embedding: { tokens: 'model.embed_tokens.weight', scale: 1 },
    });
    expect(head).toEqual({ weight: 'lm_head.weight', tied: false });
    expect(finalNorm).toEqual({ kind: 'rms', gain: 'model.norm.weight', epsilon: 1e-5, gainOffset: 0 });
    expect(blocks).toHaveLength(2);
    expect(blocks[1]).toMatchObject({
      prefix: 'model.layers.1',
      attention: { heads: 4, keyValueHeads: 2, headSize: 8, scale: 8 ** -0.5, rotary: { amplitude: 1 } },
      projections: { kind: 'separate', key: { module: 'model.layers.1.self_attn.k_proj', rows: 16, cols: 32, bias: true } },
      mlp: { kind: 'gated', activation: 'silu', down: { rows: 32, cols: 45, bias: true, transposed: false } },
    });
    const [first, last] = [blocks[0]!.attention.rotary!.frequencies[0], blocks[0]!.attention.rotary!.frequencies[3]];
    expect([first, last]).toEqual([1, Math.fround(1 / Math.fround(10_000 ** 0.75))]);
  });

  it('llama3 slows long wavelengths, keeps short ones and blends between; linear slows all', () => {
    const scaled = planModel(config('llama3-rope')).blocks[0]!.attention.rotary!.frequencies;
    const plain = planModel({ ...config('llama3-rope'), rope_parameters: { rope_theta: 500 } }).blocks[0]!.attention.rotary!.frequencies;
    const ratios = [...scaled].map((frequency, i) => frequency / plain[i]!);
    expect(ratios[0]).toBe(1);
    expect(ratios.at(-1)).toBeCloseTo(1 / 8, 6);
    expect(ratios.some((ratio) => ratio > 0.13 && ratio < 0.99)).toBe(true);
    expect(ratios.every((ratio, i) => i === 0 || ratio <= ratios[i - 1]! + 1e-6)).toBe(true);

    const linear = planModel(config('llama-linear-rope')).blocks[0]!.attention.rotary!.frequencies;
    expect(linear[0]).toBe(1 / 4);
    // the older spelling of the same
    const { rope_parameters: _, ...older } = config('llama-linear-rope');
    const same = planModel({ ...older, rope_theta: 10_000, rope_scaling: { type: 'linear', factor: 4 } });
    expect(same.blocks[0]!.attention.rotary!.frequencies).toEqual(linear);
  });

  it('windows: mistral on all layers, qwen2 and gemma2 on some, none where the config says null or off', () => {
    const windows = (source: Record<string, unknown>) => planModel(source).blocks.map(({ attention }) => attention.window);
    expect(windows(config('mistral'))).toEqual([7, 7]);
    expect(windows({ ...config('mistral'), sliding_window: null })).toEqual([undefined, undefined]);
    expect(windows(config('qwen2'))).toEqual([undefined, 6, 6]);
    expect(windows({ ...config('qwen2'), layer_types: null, max_window_layers: 2 })).toEqual([undefined, undefined, 6]);
    expect(windows({ ...config('qwen2'), layer_types: null, max_window_layers: 0 })).toEqual([6, 6, 6]);
    expect(windows({ ...config('qwen2'), use_sliding_window: false })).toEqual([undefined, undefined, undefined]);
    expect(windows(config('gemma2'))).toEqual([5, undefined, 5]);
    expect(windows({ ...config('gemma2'), layer_types: null })).toEqual([5, undefined, 5]);
  });

  it('qwen: biases on q, k and v alone; norms of each head', () => {
    const [two] = planModel(config('qwen2')).blocks;
    expect(
      linears(planModel(config('qwen2')))
        .slice(0, 7)
        .map(({ bias }) => bias),
    ).toEqual([true, true, true, false, false, false, false]);
    expect(two!.attention.queryNorm).toBeUndefined();
    const [three] = planModel(config('qwen3')).blocks;
    expect(three!.attention).toMatchObject({ headSize: 12, queryNorm: { gain: 'model.layers.0.self_attn.q_norm.weight' } });
    expect(linears(planModel(config('qwen3'))).every(({ bias }) => !bias)).toBe(true);
  });

  it('gemma2: gains less one, scaled embedding, caps, post-norms', () => {
    const plan = planModel(config('gemma2'));
    expect(plan.embedding.scale).toBe(Math.fround(Math.sqrt(32)));
    expect(plan.logitSoftcap).toBe(3);
    expect(plan.blocks[0]).toMatchObject({
      attentionNorm: { gainOffset: 1 },
      attentionPostNorm: { gain: 'model.layers.0.post_attention_layernorm.weight', gainOffset: 1 },
      mlpNorm: { gain: 'model.layers.0.pre_feedforward_layernorm.weight' },
      mlpPostNorm: { gain: 'model.layers.0.post_feedforward_layernorm.weight' },
      attention: { scale: 13 ** -0.5, softcap: 2 },
      mlp: { activation: 'gelu-tanh' },
    });
    const uncapped = planModel({ ...config('gemma2'), attn_logit_softcapping: null, final_logit_softcapping: null });
    expect(uncapped.logitSoftcap).toBeUndefined();
    expect(uncapped.blocks[0]!.attention.softcap).toBeUndefined();
  });

  it('gpt2: transposed weights, one matrix for q, k and v, names with and without prefix', () => {
    const plan = planModel(config('gpt2'));
    expect(plan.embedding.positions).toBe('transformer.wpe.weight');
    expect(plan.blocks[0]!.projections).toEqual({
      kind: 'fused',
      all: { module: 'transformer.h.0.attn.c_attn', rows: 108, cols: 36, bias: true, transposed: true },
    });
    expect(planModel(config('gpt2'), new Set(['wte.weight'])).blocks[1]!.prefix).toBe('h.1');
    expect(planModel({ ...config('gpt2'), scale_attn_by_inverse_layer_idx: true }).blocks[1]!.attention.scale).toBe(12 ** -0.5 / 2);
    expect(planModel({ ...config('gpt2'), scale_attn_weights: false }).blocks[1]!.attention.scale).toBe(1);
  });

  it.each<[Name, string[]]>([
    [
      'llama',
      ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj', 'mlp.gate_proj', 'mlp.up_proj', 'mlp.down_proj'],
    ],
    ['gpt2', ['attn.c_attn', 'attn.c_proj', 'mlp.c_fc', 'mlp.c_proj']],
  ])('%s: linears come as the forward pass meets them', (name, order) => {
    const plan = planModel(config(name));
    expect(linears(plan).map(({ module }) => module)).toEqual(
      plan.blocks.flatMap(({ prefix }) => order.map((part) => `${prefix}.${part}`)),
    );
  });
});

describe('legal scalings', () => {
  const pairs = (source: Record<string, unknown>) =>
    planModel(source).blocks[1]!.scalings.map(({ producer, consumers, gainOffset = 0 }) => [
      producer.replace(/^.*\.1\./, ''),
      consumers.map((name) => name.replace(/^.*\.1\.\w+\./, '')).join(' '),
      gainOffset,
    ]);

  it('none from values to output where heads share values', () => {
    const grouped = [
      ['input_layernorm.weight', 'q_proj.weight k_proj.weight v_proj.weight', 0],
      ['post_attention_layernorm.weight', 'gate_proj.weight up_proj.weight', 0],
      ['mlp.up_proj.weight', 'down_proj.weight', 0],
    ];
    expect(pairs(config('llama'))).toEqual(grouped);
    const own = pairs({ ...config('llama'), num_key_value_heads: 4 });
    expect(own).toEqual([grouped[0], ['self_attn.v_proj.weight', 'o_proj.weight', 0], ...grouped.slice(1)]);
  });

  it('gemma2: a gain knows what is added to it; the norm before the MLP is the pre-norm', () => {
    expect(pairs(config('gemma2'))).toEqual([
      ['input_layernorm.weight', 'q_proj.weight k_proj.weight v_proj.weight', 1],
      ['pre_feedforward_layernorm.weight', 'gate_proj.weight up_proj.weight', 1],
      ['mlp.up_proj.weight', 'down_proj.weight', 0],
    ]);
  });

  it('gpt2: none through an activation, none out of a fused matrix', () => {
    expect(pairs(config('gpt2'))).toEqual([
      ['ln_1.weight', 'c_attn.weight', 0],
      ['ln_2.weight', 'c_fc.weight', 0],
    ]);
  });
});

describe('a config that cannot be', () => {
  const llama = config('llama');
  it('of another model_type names the supported ones', () => {
    const supported = /model_type 'bert' is not supported; supported are llama, mistral, qwen2, qwen3, gemma2, gpt2/;
    expect(() => planModel({ model_type: 'bert' })).toThrow(fewbitError('unsupported', supported));
    expect(() => planModel({ model_type: 'constructor' })).toThrow(fewbitError('unsupported', /'constructor' is not supported/));
    expect(() => planModel({})).toThrow(fewbitError('config', /model_type must be a string; it is missing/));
    for (const value of [undefined, null, 'llama', [llama]])
      expect(() => planModel(value)).toThrow(fewbitError('config', /must be an object/));
  });

  const wrong: [source: Name, change: Record<string, unknown>, code: string, message: RegExp][] = [
    ...['hidden_size', 'vocab_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads'].flatMap((field) =>
      [undefined, null, 0, -1, 1.5, '32', [32], Number.POSITIVE_INFINITY, 1e9].map((value): (typeof wrong)[number] => [
        'llama',
        { [field]: value },
        'config',
        new RegExp(`config\\.json: ${field} must be a positive integer; `),
      ]),
    ),
    ['llama', { num_hidden_layers: 5000 }, 'config', /5000 layers are more/],
    ['llama', { num_key_value_heads: 3 }, 'config', /num_attention_heads 4 must be a multiple of num_key_value_heads 3/],
    ['llama', { num_key_value_heads: 1.5 }, 'config', /num_key_value_heads must be an integer of at least 1, or null; got 1.5/],
    ['llama', { hidden_size: 33, head_dim: null }, 'config', /hidden_size 33 must be a multiple of num_attention_heads 4/],
    ['llama', { head_dim: 7 }, 'config', /even head_dim, got 7/],
    ['llama', { head_dim: 'x' }, 'config', /head_dim must be an integer/],
    ['llama', { rms_norm_eps: '1e-5' }, 'config', /rms_norm_eps must be a number above 0; got "1e-5"/],
    ['llama', { rms_norm_eps: 0 }, 'config', /rms_norm_eps must be a number above 0/],
    ['llama', { attention_bias: 'no' }, 'config', /attention_bias must be true or false; got "no"/],
    ['llama', { tie_word_embeddings: 1 }, 'config', /tie_word_embeddings must be true or false/],
    ['llama', { max_position_embeddings: 0 }, 'config', /max_position_embeddings must be a positive integer/],
    ['llama', { hidden_act: 3 }, 'config', /hidden_act must be a string; got 3/],
    ['llama', { hidden_act: 'sigmoid' }, 'unsupported', /hidden_act 'sigmoid' is not supported; supported are silu/],
    ['llama', { hidden_act: 'valueOf' }, 'unsupported', /hidden_act 'valueOf'/],
    ['llama', { rope_parameters: 'linear' }, 'config', /config\.json: rope_parameters must be an object, got "linear"/],
    ['llama', { rope_parameters: { rope_theta: -1 } }, 'config', /rope_parameters\.rope_theta must be a number above 0; got -1/],
    [
      'llama',
      { rope_parameters: { rope_type: 'yarn' } },
      'unsupported',
      /Rotary scaling 'yarn' is not supported; supported are default, linear, llama3/,
    ],
    ['llama', { rope_parameters: { rope_type: 'toString' } }, 'unsupported', /'toString'/],
    ['llama', { rope_scaling: { type: 'linear' } }, 'config', /rope_scaling\.factor must be a number above 0; it is missing/],
    [
      'llama3-rope',
      { rope_scaling: { rope_type: 'llama3', factor: 8, low_freq_factor: 4, high_freq_factor: 4 } },
      'config',
      /high_freq_factor 4 must be above low_freq_factor 4/,
    ],
    ['llama', { rope_parameters: { partial_rotary_factor: 0.5 } }, 'unsupported', /partial_rotary_factor 0\.5/],
    ['mistral', { sliding_window: 6.5 }, 'config', /sliding_window must be an integer of at least 1, or null; got 6\.5/],
    ['qwen2', { layer_types: ['full_attention'] }, 'config', /layer_types has 1 entries, num_hidden_layers is 3/],
    ['qwen2', { layer_types: [1, 2, 3] }, 'config', /layer_types must be a list of strings/],
    [
      'qwen2',
      { layer_types: ['full_attention', 'linear_attention', 'full_attention'] },
      'unsupported',
      /'linear_attention' is not supported/,
    ],
    ['gemma2', { use_bidirectional_attention: true }, 'unsupported', /use_bidirectional_attention is an encoder/],
    ['gemma2', { query_pre_attn_scalar: 0 }, 'config', /query_pre_attn_scalar must be a number above 0/],
    ['gpt2', { n_head: 5 }, 'config', /n_embd 36 must be a multiple of n_head 5/],
    ['gpt2', { n_layer: undefined }, 'config', /n_layer must be a positive integer; it is missing/],
    ['gpt2', { add_cross_attention: true }, 'unsupported', /add_cross_attention/],
  ];
  it.each(wrong)('%s with %j', (source, change, code, message) => {
    expect(() => planModel({ ...config(source), ...change })).toThrow(fewbitError(code, message));
  });

  it('with any value in any field either plans or says which field', () => {
    const property = fc.property(fc.constantFrom(...cases), fc.nat(), fc.jsonValue({ maxDepth: 3 }), (name, which, value) => {
      const source = config(name);
      const fields = Object.keys(source).filter((field) => field !== 'model_type');
      const field = fields[which % fields.length]!;
      try {
        planModel({ ...source, [field]: value });
      } catch (error) {
        expect(error).toMatchObject({ name: 'FewbitError', code: expect.stringMatching(/config|unsupported/) });
        expect((error as Error).message).toMatch(new RegExp(`${field}|Rotary scaling|Layer type|_freq_factor|rotary|layers`));
      }
    });
    fc.assert(property, { numRuns: 1000, seed: 4 });
  });
});

describe('checkTensors', () => {
  const plan = planModel(config('llama'));
  const changed = (name: string, shape?: number[]) => {
    const found = tensors('llama');
    if (shape) found.set(name, { shape });
    else found.delete(name);
    return found;
  };

  it('names a tensor that is missing, or of another shape, with both shapes', () => {
    const name = 'model.layers.1.mlp.down_proj.weight';
    const wanted = 'config\\.json \\(llama\\) makes model\\.layers\\.1\\.mlp\\.down_proj\\.weight \\[32, 45\\]';
    expect(() => checkTensors(plan, changed(name))).toThrow(
      fewbitError('config', new RegExp(`${wanted}, but the checkpoint has no such tensor`)),
    );
    for (const shape of [[45, 32], [32], [32, 45, 1], []]) {
      const found = `has it as \\[${shape.join(', ')}\\]`;
      expect(() => checkTensors(plan, changed(name, shape))).toThrow(
        fewbitError('config', new RegExp(`${wanted}, but the checkpoint ${found}`)),
      );
    }
  });

  it('misses every tensor of the plan', () => {
    for (const name of tensors('llama').keys()) expect(() => checkTensors(plan, changed(name))).toThrow(name);
  });

  it('leaves weights of quantized modules to their layout, and checks their biases', () => {
    const module = 'model.layers.0.self_attn.q_proj';
    const quantized = (name: string) => name === module;
    expect(() => checkTensors(plan, changed(`${module}.weight`), quantized)).not.toThrow();
    expect(() => checkTensors(plan, changed(`${module}.bias`), quantized)).toThrow(`${module}.bias`);
  });

  it('a config of more layers than the weights have contradicts them', () => {
    const more = planModel({ ...config('llama'), num_hidden_layers: 3 });
    expect(() => checkTensors(more, tensors('llama'))).toThrow(
      fewbitError('config', /model\.layers\.2\.input_layernorm\.weight .*no such tensor/),
    );
  });
});
