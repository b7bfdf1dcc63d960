import { join } from 'node:path';
import { embeddedModel, temporaryFolder } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import { fewbit, fewbitJson } from './capture.js';

const root = temporaryFolder();

describe('fewbit convert', () => {
  it('says what loads a model, whether every weight is the same, and refuses what is not without --refit', async () => {
    const [model, gptq, tensors] = ['model', 'gptq', 'again'].map((name) => join(root, name)) as [string, string, string];
    await fewbitJson('quantize', embeddedModel, '-o', model, '--method', 'rtn', '--group', '32', '--layout', 'gptq');
    const { stdout, code } = await fewbit('convert', model, '-o', tensors, '--layout', 'compressed-tensors');
    expect(code).toBe(0);
    expect(stdout).toMatch(/compressed-tensors, 35 quantized matrices, every weight the same/);
    const { stdout: inspected } = await fewbit('inspect', model);
    expect(inspected).toMatch(/loads in\s.*vllm, transformers, gptqmodel/);
    expect(inspected).toMatch(/written by\s.*Fewbit \d/);
    const early = [
      'quantize',
      embeddedModel,
      '-o',
      join(root, 'never'),
      '--group',
      '64',
      '--layout',
      'gptq',
      '--asymmetric',
      '--target',
      'vllm',
    ];
    expect((await fewbit(...early)).stderr).toMatch(/Target vllm would refuse this model: .*use --symmetric/);
    const refused = await fewbit('convert', model, '-o', gptq, '--layout', 'bnb');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/no format with the weights of model\.layers\.0\.self_attn\.q_proj .*--refit --format/);
    const refit = await fewbitJson<{ exact: boolean; refitError: number }>(
      'convert',
      model,
      '-o',
      gptq,
      '--layout',
      'bnb',
      '--refit',
      '--format',
      'nf4',
    );
    expect(refit.exact).toBe(false);
    expect(refit.refitError).toBeGreaterThan(1e-3);
    const half = await fewbit('convert', model, '-o', join(root, 'half'), '--layout', 'compressed-tensors', '--refit', '--format', 'int8');
    expect(half.stdout).toMatch(/35 quantized matrices, not exact: 35 rounded again with a relative square error of \d/);
    const unloaded = ['--layout', 'bnb', '--refit', '--format', 'nf4', '--target', 'vllm'];
    expect((await fewbit('convert', model, '-o', join(root, 'never'), ...unloaded)).stderr).toMatch(
      /Target vllm would refuse this model: vllm does not read layout bnb: use --layout compressed-tensors/,
    );
  });

  it('wants --refit and --format together, and names that are known', async () => {
    const wrong = async (...flags: string[]) => {
      const { code, stderr } = await fewbit('convert', embeddedModel, '-o', join(root, 'never'), ...flags);
      expect(code).toBe(2);
      return stderr;
    };
    expect(await wrong('--layout', 'gptq', '--refit')).toMatch(/say which with --format/);
    expect(await wrong('--layout', 'zip')).toMatch(/Unknown layout "zip"/);
    expect(await wrong('--layout', 'float', '--dtype', 'f8')).toMatch(/Unknown dtype "f8"/);
    expect(await wrong('--layout', 'float', '--kv', 'fp8')).toMatch(/--kv fp8: what is converted is rounded as before/);
    const both = ['--refit', '--format', 'int4', '--symmetric', '--asymmetric'];
    expect(await wrong('--layout', 'gptq', ...both)).toMatch(/either --symmetric or --asymmetric/);
  });

  it('leaves inputs in float where asked to, and rounds again to formats of any granularity', async () => {
    const [blocks, nested, back] = ['blocks', 'nested', 'back'].map((name) => join(root, name)) as [string, string, string];
    const fp8 = ['--format', 'fp8', '--granularity', 'block', '--layout', 'fp8'];
    await fewbitJson('quantize', embeddedModel, '-o', blocks, '--method', 'rtn', ...fp8);
    const flags = ['--layout', 'bnb', '--refit', '--format', 'nf4', '--double-quantization'];
    const refused = await fewbit('convert', blocks, '-o', nested, ...flags);
    expect(refused.stderr).toMatch(/cannot round the inputs of .*Without their rounding \(--activations none\) it can be written/);
    const plain = await fewbitJson<{ notes: string[] }>('convert', blocks, '-o', nested, ...flags, '--activations', 'none');
    expect(plain.notes).toEqual([expect.stringMatching(/inputs were rounded \(fp8-e4m3 g128\), and are no more/)]);
    const { formats } = await fewbitJson<{ formats: { format: string }[] }>('inspect', nested);
    expect(formats.map(({ format }) => format)).toContain('nf4 flat64 nested');
    const again = await fewbitJson<{ refitError: number; notes: string[] }>('convert', nested, '-o', back, '--refit', ...fp8);
    expect(again.refitError).toBeLessThan(2e-3);
    expect(again.notes).toEqual([expect.stringMatching(/readers of fp8 round inputs: fp8-e4m3 g128/)]);
  });
});
