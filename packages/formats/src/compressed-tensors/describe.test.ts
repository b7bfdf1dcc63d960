import { describe, expect, it } from 'vitest';
import { golden } from '../../golden/golden.js';
import { compressedTensors, formatName, type IntSpec } from '../index.js';

const spec = (bits: IntSpec['bits'], scheme: IntSpec['scheme'], granularity: IntSpec['granularity']): IntSpec => ({
  kind: 'int',
  bits,
  scheme,
  granularity,
  scaleType: 'BF16',
});
const group = (size: number) => ({ kind: 'group', size }) as const;
const channel = { kind: 'channel' } as const;

const block = ['self_attn.q_proj', 'self_attn.o_proj', 'mlp.gate_proj', 'mlp.down_proj'].map((name) => `model.layers.0.${name}`);
const models: Record<string, { modules: ReadonlyMap<string, IntSpec>; ignored: readonly string[] }> = {
  'one format': { modules: new Map(block.map((name) => [name, spec(4, 'symmetric-full', group(128))])), ignored: ['lm_head'] },
  'one format, one module in float': {
    modules: new Map(block.slice(1).map((name) => [name, spec(3, 'asymmetric', channel)])),
    ignored: [block[0]!],
  },
  'two groups, three formats, one layout': {
    modules: new Map([
      [block[0]!, spec(8, 'symmetric-full', channel)],
      [block[1]!, spec(4, 'symmetric-full', group(32))],
      [block[2]!, spec(4, 'symmetric-signed', group(32))],
      [block[3]!, spec(2, 'asymmetric-free', group(32))],
    ]),
    ignored: [],
  },
  'two layouts': {
    modules: new Map([
      [block[0]!, spec(8, 'symmetric-restricted', { kind: 'tensor' })],
      [block[3]!, spec(4, 'asymmetric', group(64))],
    ]),
    ignored: [block[1]!, block[2]!],
  },
  'a quantized head': { modules: new Map([...block, 'lm_head'].map((name) => [name, spec(8, 'symmetric-full', channel)])), ignored: [] },
};

const described = Object.values(models).map(({ modules, ignored }) => ({
  config: compressedTensors.describe(modules, ignored),
  modules: [...block, 'lm_head'],
}));

describe('describe', () => {
  it('writes the configs that the compressed-tensors package validated', async () => {
    await expect(`${JSON.stringify(described, null, 1)}\n`).toMatchFileSnapshot('../../golden/describe.json');
    expect(golden.configs.map(({ format, status }) => [format, status])).toEqual(
      described.map(({ config }) => [config.format, 'compressed']),
    );
  });

  it('names for every module the format that the package finds, and recognise finds it too', () => {
    for (const [i, { config, modules }] of described.entries()) {
      const reading = compressedTensors.recognise(config);
      for (const module of modules) {
        const format = reading?.format(module) as IntSpec | undefined;
        const theirs = golden.configs[i]!.resolved[module];
        const ours = format && {
          num_bits: format.bits,
          symmetric: format.scheme === 'symmetric-full',
          strategy: format.granularity.kind,
          group_size: format.granularity.kind === 'group' ? format.granularity.size : null,
        };
        expect(ours ?? null, module).toEqual(theirs);
        const written = Object.values(models)[i]!.modules.get(module);
        expect(format && storage(format), module).toEqual(written && storage(written));
      }
    }
  });

  it('tells readers of modules whose columns are grouped by a table', () => {
    const [first, second] = block as [string, string];
    const format = spec(4, 'asymmetric', group(32));
    const modules = new Map([
      [first, format],
      [second, format],
    ]);
    const config = compressedTensors.describe(modules, [], { columnGrouped: new Set([second]) });
    expect(config.config_groups).toMatchObject({
      group_0: { targets: [first], weights: { actorder: null } },
      group_1: { targets: [second], weights: { actorder: 'group' } },
    });
  });

  it('refuses to describe a model without a quantized module', () => {
    expect(() => compressedTensors.describe(new Map(), ['lm_head'])).toThrow(/No module is quantized/);
  });
});

/** What a config can tell: schemes of one symmetry are stored alike. */
function storage(format: IntSpec): string {
  return formatName({ ...format, scheme: format.scheme.startsWith('symmetric') ? 'symmetric-full' : 'asymmetric' });
}
