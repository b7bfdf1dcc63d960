import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { embeddedModel, fileHashes, temporaryFolder } from '@fewbit/testkit';
import { beforeAll, describe, expect, it } from 'vitest';
import { fewbit, fewbitJson } from './capture.js';

const root = temporaryFolder();
const calibration = join(embeddedModel, 'calibration.jsonl');
/** The embedded model's first block and head: enough where the cost of GPTQ would be felt. */
const oneBlock = join(root, 'one-block');
const windows = ['--calibration', calibration, '--samples', '4', '--length', '64'];
/** Without the search that most of GPTQ's time goes to. */
const quick = ['--method-options', '{"clip":"off"}'];
const text = join(root, 'text.jsonl');

/** The documents of design.md; fields may be added, these stay. */
interface Quantized {
  output: string;
  method: string;
  layout: string;
  bytes: { before: number; after: number };
  bitsPerWeight: number;
  seconds: number;
  peakMemory: number;
  backend: { id: string; description: string; threads: number };
  kernels: Record<string, string>;
  calibration?: { source: string; sequences: number; length: number; tokens: number };
  layers: { name: string; format: string; bitsPerWeight: number; bytes: number; weightError: number; outputError?: number }[];
}
interface Evaluated {
  model: string;
  text: string;
  protocol: string;
  context: number;
  tokens: number;
  windows: number;
  nll: number;
  perplexity: number;
  standardError: number;
  seconds: number;
  baseline?: {
    model: string;
    perplexity: number;
    kl: { mean: number; standardError: number; p99: number };
    topOne: { agreement: number; standardError: number };
  };
  kernels: { backend: string; description: string; ops: Record<string, string> };
}
interface Doctor {
  backend: { id: string; description: string; threads: number };
  ops: Record<string, string>;
}

const int4 = join(root, 'int4');
beforeAll(async () => {
  cpSync(embeddedModel, oneBlock, { recursive: true });
  const config = JSON.parse(readFileSync(join(embeddedModel, 'config.json'), 'utf8')) as object;
  writeFileSync(join(oneBlock, 'config.json'), JSON.stringify({ ...config, num_hidden_layers: 1 }));
  const lines = readFileSync(join(embeddedModel, 'held-out.jsonl'), 'utf8').split('\n');
  writeFileSync(text, lines.slice(0, 6).join('\n'));
  await fewbitJson('quantize', embeddedModel, '-o', int4, '--method', 'rtn');
});

describe('fewbit quantize', () => {
  it('rtn: the document', async () => {
    const document = await fewbitJson<Quantized>(
      'quantize',
      embeddedModel,
      '-o',
      join(root, 'rtn'),
      '--method',
      'rtn',
      '--format',
      'int3',
      '--group',
      '32',
    );
    expect(document).toMatchObject({ output: join(root, 'rtn'), method: 'rtn', layout: 'compressed-tensors' });
    expect(document.calibration).toBeUndefined();
    expect(document.layers).toHaveLength(35);
    expect(document.layers[0]).toMatchObject({ name: 'model.layers.0.self_attn.q_proj', format: expect.stringMatching(/^int3.*32/) });
    // 3 bits, and per group of 32 a bfloat16 scale and a zero point of 3 bits
    expect(document.bitsPerWeight).toBeCloseTo(3 + (16 + 3) / 32, 1);
    for (const { weightError, outputError } of document.layers) {
      expect(weightError).toBeGreaterThan(0);
      expect(outputError).toBeUndefined();
    }
    expect(document.bytes.after).toBeLessThan(document.bytes.before);
    for (const number of [document.seconds, document.peakMemory]) expect(number).toBeGreaterThan(0);
    const { backend, ops } = await fewbitJson<Doctor>('doctor');
    expect(document).toMatchObject({ backend, kernels: ops });
  });

  it.each(['rtn', 'gptq'])('%s with outliers and two levels of scales: what is counted is what is written', async (method) => {
    const output = join(root, `outliers-${method}`);
    const flags = ['--method', method, '--format', 'int3', '--double-quantization', '--outliers', '1%', '--layout', 'fewbit', ...windows];
    const document = await fewbitJson<Quantized & { layers: { outliers?: number }[]; readBack: number }>(
      'quantize',
      oneBlock,
      '-o',
      output,
      ...flags,
    );
    for (const { outliers, format } of document.layers) {
      expect(format).toBe('int3 g16 two-level3x16');
      expect(outliers).toBeGreaterThan(0.009);
      expect(outliers).toBeLessThanOrEqual(0.0101);
    }
    expect(document.readBack).toBe(0);
    const { modules } = await fewbitJson<{ modules: { format: string; bitsPerWeight: number; bytes: number }[] }>('inspect', output);
    const written = modules.filter(({ format }) => format.startsWith('int3')).reduce((sum, { bytes }) => sum + bytes, 0);
    const counted = document.layers.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(written).toBeGreaterThanOrEqual(counted - document.layers.length);
    expect(written).toBeLessThan(1.01 * counted); // codes end in whole words
    const dry = await fewbitJson<{ outliers: number }>('quantize', oneBlock, '-o', join(root, 'none'), ...flags, '--dry-run');
    expect(dry.outliers).toBe(0.01);
  });

  it('gptq: the document, progress on stderr, the same bytes on one thread and on two', async () => {
    const run = (output: string, threads: string) =>
      fewbit('quantize', oneBlock, '-o', join(root, output), '--format', 'int3', ...windows, ...quick, '--threads', threads, '--json');
    const [one, two] = [await run('threads-1', '1'), await run('threads-2', '2')];
    const document = JSON.parse(one.stdout) as Quantized;
    expect(document.method).toBe('gptq');
    expect(document.calibration).toEqual({ source: calibration, sequences: 4, length: 64, tokens: 256 });
    for (const { outputError } of document.layers) expect(outputError).toBeGreaterThan(0);
    expect(one.stderr).toMatch(/\d+% .* left\)/);
    expect(two.code).toBe(0);
    expect(fileHashes(join(root, 'threads-1'))).toEqual(fileHashes(join(root, 'threads-2')));
  });

  it('every flag does what it says', async () => {
    const plan = (...flags: string[]) =>
      fewbitJson<{ format: string; method: string }>(
        'quantize',
        embeddedModel,
        '-o',
        join(root, 'none'),
        '--method',
        'rtn',
        '--dry-run',
        ...flags,
      );
    expect((await plan()).format).toMatch(/^int4.*128/);
    const named: [string[], RegExp][] = [
      [['--format', 'int8', '--granularity', 'tensor'], /^int8.*tensor/],
      [['--group', '-1'], /^int4.*channel/],
      [['--granularity', 'channel'], /^int4.*channel/],
      [['--granularity', 'group', '--group', '64'], /^int4.*64/],
      [['--format', 'int2'], /^int2.*asym/],
      [['--format', 'int2', '--symmetric'], /^int2(?!.*asym)/],
      [['--asymmetric'], /^int4.*asym/],
    ];
    for (const [flags, format] of named) expect((await plan(...flags)).format, flags.join(' ')).toMatch(format);
    expect(await plan('--layout', 'compressed-tensors', ...windows, '--sampling', 'random', '--seed', '3')).toMatchObject({
      calibrationTokens: 256,
    });
    expect(await plan('--method', 'gptq', '--method-options', '{"clip":"plain"}', ...windows)).toMatchObject({ method: 'gptq' });
    expect(readdirSync(root)).not.toContain('none');
  });

  it('a recipe says it all, and flags win over it', async () => {
    const recipe = join(root, 'recipe.json');
    writeFileSync(
      recipe,
      JSON.stringify({ method: 'rtn', format: 'int2', group: 64, calibration: { path: calibration, samples: 2, length: 32 } }),
    );
    const plan = (...flags: string[]) =>
      fewbitJson('quantize', embeddedModel, '-o', join(root, 'none'), '--recipe', recipe, '--dry-run', ...flags);
    expect(await plan()).toMatchObject({ method: 'rtn', format: expect.stringMatching(/^int2.*64/), calibrationTokens: 64 });
    expect(await plan('--format', 'int4', '--samples', '3')).toMatchObject({
      format: expect.stringMatching(/^int4.*64/),
      calibrationTokens: 96,
    });
  });

  it('without --json: a table of the layers, then what was written', async () => {
    const { code, stdout } = await fewbit('quantize', embeddedModel, '-o', join(root, 'table'), '--method', 'rtn');
    expect(code).toBe(0);
    expect(stdout).toMatch(/layer.*format.*weight error.*output error.*bits.*size/);
    expect(stdout).toMatch(/model\.layers\.4\.mlp\.down_proj.*int4/);
    expect(stdout).toMatch(/table: rtn, compressed-tensors, 4\.\d+ bits per weight/);
    expect(stdout).toMatch(/^kernels: \w+: .*\d threads?$/m);
    expect(stdout).toMatch(/read back: logits differ by/);
  });
});

describe('fewbit eval', () => {
  it('the document, with every protocol', async () => {
    for (const protocol of ['document', 'gptq', 'llama.cpp', 'word']) {
      const document = await fewbitJson<Evaluated>('eval', embeddedModel, '--text', text, '--protocol', protocol, '--context', '64');
      expect(document).toMatchObject({ model: embeddedModel, text, protocol, context: 64 });
      expect(document.baseline).toBeUndefined();
      const { tokens, windows, nll, perplexity, standardError, seconds } = document;
      for (const number of [tokens, windows, nll, perplexity, standardError, seconds]) expect(number).toBeGreaterThan(0);
      if (protocol !== 'word') expect(Math.exp(nll)).toBeCloseTo(perplexity, 6);
    }
  });

  it('a quantized model against its float twin; only some windows', async () => {
    const flags = ['--text', text, '--protocol', 'document', '--context', '64'];
    const { baseline, perplexity, tokens } = await fewbitJson<Evaluated>('eval', int4, ...flags, '--baseline', embeddedModel);
    const float = await fewbitJson<Evaluated>('eval', embeddedModel, ...flags);
    expect(baseline!.model).toBe(embeddedModel);
    expect(baseline!.perplexity).toBeCloseTo(float.perplexity, 3);
    expect(perplexity).toBeGreaterThan(float.perplexity);
    expect(tokens).toBe(float.tokens);
    expect(baseline!.kl.mean).toBeGreaterThan(0);
    expect(baseline!.kl.mean).toBeLessThan(0.5);
    expect(baseline!.kl.p99).toBeGreaterThan(baseline!.kl.mean);
    expect(baseline!.topOne.agreement).toBeGreaterThan(0.5);
    for (const { standardError } of [baseline!.kl, baseline!.topOne]) expect(standardError).toBeGreaterThan(0);
    expect(await fewbitJson<Evaluated>('eval', embeddedModel, ...flags, '--windows', '2')).toMatchObject({ windows: 2 });
  });

  it('rounds activations as asked and where it can, and says so', async ({ skip }) => {
    const flags = ['--text', text, '--protocol', 'document', '--context', '64'];
    const run = (...more: string[]) => fewbitJson<Evaluated & { activations: string }>('eval', int4, ...flags, ...more);
    const reference = await run('--backend', 'reference');
    expect(reference).toMatchObject({ activations: 'f32', kernels: { backend: 'reference', ops: { matmul: 'reference' } } });
    const refused = await fewbit('eval', int4, ...flags, '--backend', 'reference', '--activations', 'int8');
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("'reference' has no products with int8 activations") });
    if ((await fewbit('doctor', '--backend', 'cpu')).code !== 0) skip('there is no native backend');
    const [exact, rounded] = [await run('--backend', 'cpu'), await run('--backend', 'cpu', '--activations', 'int8')];
    const float = await run('--backend', 'cpu', '--activations', 'f32');
    expect([exact.activations, rounded.activations, float.activations]).toEqual(['int16', 'int8', 'f32']);
    const { backend, ops } = await fewbitJson<Doctor>('doctor', '--backend', 'cpu');
    expect(exact.kernels).toMatchObject({ backend: 'cpu', description: backend.description, ops, decoded: {} });
    expect(ops.matmul).toBe('cpu');
    expect(float.nll).toBeCloseTo(reference.nll, 6);
    expect(rounded.perplexity).not.toBe(exact.perplexity);
    expect(Math.abs(rounded.nll - exact.nll)).toBeLessThan(0.02);
  });

  it('without --json: a table that names protocol, context and text', async () => {
    const { stdout } = await fewbit(
      'eval',
      embeddedModel,
      '--text',
      text,
      '--windows',
      '1',
      '--context',
      '32',
      '--baseline',
      embeddedModel,
    );
    expect(stdout).toMatch(/perplexity.*±/);
    expect(stdout).toMatch(/gptq, context 32/);
    expect(stdout).toMatch(/kernels.*: .*\d threads?/);
    expect(stdout).toContain(`${text}: 31 predictions in 1 windows`);
    expect(stdout).toMatch(/same likeliest token.*100\.00 %/);
  });
});

describe('fewbit generate', () => {
  const prompt = ['--prompt', 'The people of the United States'];
  it('the document: the continuation alone', async () => {
    const document = await fewbitJson<Record<string, number | string>>('generate', embeddedModel, ...prompt, '--max-tokens', '8');
    expect(document).toMatchObject({ tokens: 8, text: expect.stringMatching(/^ have been/) });
    expect(document.promptTokens).toBeGreaterThan(5);
    for (const field of ['prefillTokensPerSecond', 'decodeTokensPerSecond']) expect(document[field]).toBeGreaterThan(0);
  });

  it('greedy text is what transformers writes', async () => {
    const { greedy } = JSON.parse(readFileSync(join(embeddedModel, 'reference.json'), 'utf8')) as {
      greedy: { prompt: string; text: string; ids: number[] }[];
    };
    for (const { prompt, text, ids } of greedy) {
      const { stdout } = await fewbit('generate', embeddedModel, '--prompt', prompt, '--max-tokens', String(ids.length));
      expect(stdout).toBe(`${text}\n`);
    }
  });

  it('draws the same with the same seed, and heeds its filters', async () => {
    const draw = async (...flags: string[]) =>
      (await fewbit('generate', embeddedModel, ...prompt, '--max-tokens', '12', '--temperature', '1.5', ...flags)).stdout;
    expect(await draw('--seed', '1')).toBe(await draw('--seed', '1'));
    expect(await draw('--seed', '1')).not.toBe(await draw('--seed', '2'));
    const greedy = (await fewbit('generate', embeddedModel, ...prompt, '--max-tokens', '12')).stdout;
    for (const flags of [
      ['--top-k', '1'],
      ['--top-p', '0.001'],
      ['--min-p', '1'],
    ])
      expect(await draw(...flags)).toBe(greedy); // prettier-ignore
  });
});

describe('fewbit imatrix', () => {
  it('the document; the file serves quantize, which can do without it', async () => {
    const output = join(root, 'importance.gguf');
    const document = await fewbitJson('imatrix', oneBlock, '-o', output, ...windows);
    expect(document).toMatchObject({ output, entries: 7, calibration: { source: calibration, sequences: 4, length: 64, tokens: 256 } });
    const plan = (...flags: string[]) =>
      fewbitJson('quantize', oneBlock, '-o', join(root, 'none'), '--layout', 'gguf', '--format', 'q4_0', '--dry-run', ...flags);
    expect(await plan('--imatrix', output)).toMatchObject({ method: 'rtn' });
    expect(await plan('--imatrix', ...windows)).toMatchObject({ method: 'rtn', calibrationTokens: 256 });
    expect(await fewbit('imatrix', oneBlock, '-o', output, ...windows)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/exists already/),
    });
  });
});

describe('fewbit inspect', () => {
  it('--verify: compares the files with the hashes of the model card', async () => {
    const copy = join(root, 'copy');
    cpSync(int4, copy, { recursive: true });
    const states = async (...flags: string[]) => {
      const { files } = await fewbitJson<{ files: { name: string; state: string }[] }>('inspect', copy, ...flags);
      return Object.fromEntries(files.map(({ name, state }) => [name, state]));
    };
    expect(new Set(Object.values(await states()))).toEqual(new Set(['unchecked']));
    expect(new Set(Object.values(await states('--verify')))).toEqual(new Set(['same']));
    const weights = readFileSync(join(copy, 'model.safetensors'));
    weights[weights.length - 1]! ^= 1;
    writeFileSync(join(copy, 'model.safetensors'), weights);
    rmSync(join(copy, 'generation_config.json'));
    expect(await states()).toMatchObject({ 'model.safetensors': 'unchecked', 'generation_config.json': 'missing' });
    const { code, stdout, stderr } = await fewbit('inspect', copy, '--verify');
    expect(code).toBe(1);
    expect(stdout).toMatch(/model\.safetensors .* differs/);
    expect(stderr).toMatch(/is not what its model card says: generation_config\.json is missing, model\.safetensors differs\./);
    expect((await fewbit('inspect', embeddedModel, '--verify')).stderr).toMatch(/has no model card with hashes/);
  });

  it('float and quantized', async () => {
    const float = await fewbitJson<Record<string, unknown>>('inspect', embeddedModel);
    expect(float).toMatchObject({ model: embeddedModel, architecture: 'llama', bitsPerWeight: 16 });
    expect(float.layout).toBeUndefined();
    const quantized = await fewbitJson<Record<string, unknown> & { modules: { name: string }[] }>('inspect', int4);
    expect(quantized).toMatchObject({
      layout: 'compressed-tensors',
      parameters: float.parameters,
    });
    expect(quantized.bitsPerWeight).toBeLessThan(8);
    expect(quantized.modules.find(({ name }) => name === 'model.layers.0.mlp.down_proj')).toMatchObject({
      format: expect.stringMatching(/^int4/),
      shape: [192, 512],
    });
    expect((await fewbit('inspect', int4)).stdout).toMatch(/architecture.*llama/);
  });
});

describe('fewbit doctor', () => {
  it('says what runs here, and why not what does not', async () => {
    const document = await fewbitJson<Doctor>('doctor', '--backend', 'reference');
    expect(document).toMatchObject({ node: process.version, backend: { id: 'reference' }, ops: { matmul: 'reference' } });
    expect((await fewbit('doctor', '--threads', '1')).stdout).toMatch(/kernels.*: /);
  });

  it('says which weights of a model are decoded, as does what runs it', async () => {
    const reason = "the backend 'reference' has no kernels for codes";
    const on = ['--backend', 'reference'];
    const { backend, ops } = await fewbitJson<Doctor>('doctor', ...on);
    const { description } = backend;
    const kernels = {
      backend: 'reference',
      description,
      ops,
      decoded: { [reason]: expect.arrayContaining(['model.layers.0.mlp.up_proj']) },
    };
    expect(await fewbitJson('doctor', int4, ...on)).toMatchObject({ model: { path: int4, ...kernels } });
    expect((await fewbit('doctor', int4, ...on)).stdout).toMatch(/held as float32[\s\S]*model\.layers\.0\.mlp\.up_proj/);
    const generate = ['generate', int4, '--prompt', 'It was', '--max-tokens', '1', ...on];
    expect(await fewbitJson(...generate)).toMatchObject({ tokens: 1, kernels });
    expect((await fewbit(...generate)).stderr).toMatch(
      /^fewbit: \d+ quantized weights are held as float32: the backend 'reference' has no kernels for codes\.\n$/,
    );
    expect((await fewbit(...generate, '--verbose')).stderr).toMatch(/^kernels: reference: .*\n.*model\.layers\.0\.mlp\.up_proj/);
    expect((await fewbit('generate', embeddedModel, '--prompt', 'It was', '--max-tokens', '1', ...on)).stderr).toBe('');
  });
});

describe('fewbit itself', () => {
  it('shows help and version on stdout', async () => {
    for (const flag of ['--help', '--version']) expect(await fewbit(flag)).toMatchObject({ code: 0, stderr: '' });
    expect((await fewbit('--help')).stdout).toMatch(/quantize.*[\s\S]*eval.*[\s\S]*generate.*[\s\S]*chat.*[\s\S]*inspect.*[\s\S]*doctor/);
    for (const command of ['quantize', 'eval', 'generate', 'chat', 'inspect', 'doctor']) {
      expect((await fewbit(command, '--help')).stdout).toContain(`Usage: fewbit ${command}`);
    }
  });
});
