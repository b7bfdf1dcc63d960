import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { embeddedModel, goldenModel, temporaryFolder } from '@fewbit/testkit';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { fewbit } from './capture.js';

const root = temporaryFolder();
const output = join(root, 'out');
const [text, short, empty] = ['text.txt', 'short.txt', 'empty.txt'].map((name) => join(root, name)) as [string, string, string];
writeFileSync(text, 'It was the best of times, it was the worst of times. '.repeat(60));
writeFileSync(short, 'Too short.');
writeFileSync(empty, '');
const bare = goldenModel('llama').folder;
const model = embeddedModel;
const q = (...flags: string[]) => ['quantize', model, '-o', output, ...flags];
const calibrated = (...flags: string[]) => q('--calibration', text, ...flags);

/** Nothing on stdout, a message without stack trace on stderr, nothing at the output. */
async function refused(argv: readonly string[], code: number, message: RegExp): Promise<void> {
  const before = readdirSync(root).sort();
  const got = await fewbit(...argv);
  expect(got.stderr).toMatch(message);
  expect(got).toMatchObject({ code, stdout: '' });
  expect(got.stderr).not.toMatch(/^\s+at /m);
  expect(readdirSync(root).sort()).toEqual(before);
}

describe('wrong usage ends with 2 and lists the choices', () => {
  it.each<[argv: string[], message: RegExp]>([
    [['quantise', model], /unknown command 'quantise'[\s\S]*Did you mean quantize/],
    [['quantize', model], /required option '-o, --output <dir>'/],
    [['quantize', '-o', output], /missing required argument 'model'/],
    [['eval', model], /required option '--text <file>'/],
    [['generate', model], /required option '--prompt <text>'/],
    [['inspect', model, 'more'], /too many arguments/],
    [q('--wat'), /unknown option '--wat'/],
    [q('--method', 'magic'), /Unknown method "magic"\. Choose one of: rtn, gptq/],
    [q('--format', 'int9'), /Unknown format "int9"\. Choose one of: int2, .*int8/],
    [q('--layout', 'zip'), /Unknown layout "zip"\. Choose one of: compressed-tensors/],
    [q('--granularity', 'row'), /expected one of "tensor"\|"channel"\|"group"\|"block"\s+→ at granularity/],
    [calibrated('--sampling', 'best'), /expected one of "spread"\|"first"\|"random"\s+→ at calibration\.sampling/],
    [q('--method', 'rtn', '--method-options', '{"clip":"best"}'), /Options of method rtn[\s\S]*clip/],
    [q('--method', 'rtn', '--method-options', '{"wat":1}'), /Options of method rtn[\s\S]*wat/],
    [q('--method-options', '[1]'), /\[1\] is not a JSON object/],
    [q('--outliers', 'many'), /many is no share, such as 0\.5% or 0\.005/],
    [q('--method', 'rtn', '--outliers', '30%'), /RTN's outliers is 0\.3: use a share of the weights from 0 to 0\.2/],
    [q('--group', '0'), /Group size 0 is neither a positive whole number nor -1/],
    [q('--group', 'x'), /x is not a whole number/],
    [q('--granularity', 'channel', '--group', '32'), /channel has no groups/],
    [q('--symmetric', '--asymmetric'), /either --symmetric or --asymmetric/],
    [q('--samples', '4'), /say which with --calibration/],
    [calibrated('--samples', '0'), /0 is not a positive whole number/],
    [calibrated('--length', '-3'), /-3 is not a positive whole number/],
    [calibrated('--length', '257'), /windows of 257 tokens are longer than the 256 positions/],
    [q('--seed', '-1'), /seed/],
    [q('--method', 'gptq'), /Method gptq measures the layers' inputs: give calibration text/],
    [q('--method', 'gptq', '--dry-run'), /Method gptq measures the layers' inputs/],
    [q('--recipe', join(root, 'none.json')), /Recipe .*none\.json cannot be read as JSON: ENOENT/],
    [q('--recipe', text), /Recipe .*text\.txt cannot be read as JSON/],
    [['eval', model, '--text', text, '--protocol', 'c4'], /Unknown protocol "c4"\. Choose one of: gptq, llama\.cpp, word, document/],
    [['eval', model, '--text', text, '--context', '257'], /Context 257 is more than the 256 positions/],
    [['eval', model, '--text', text, '--windows', '0'], /0 is not a positive whole number/],
    [['eval', model, '--text', text, '--protocol', 'word', '--windows', '1'], /--windows would cut one/],
    [['generate', model, '--prompt', 'A', '--temperature', '-1'], /-1 is not a number of 0 or more/],
    [['generate', model, '--prompt', 'A', '--top-p', '2'], /2 is not in \(0, 1\]/],
    [['generate', model, '--prompt', 'A', '--top-k', '1.5'], /1\.5 is not a positive whole number/],
    [['generate', model, '--prompt', 'word '.repeat(300)], /The prompt has \d+ tokens; with a context of 256 at most 255/],
    [['--backend', 'abacus', 'doctor'], /abacus[\s\S]*wasm.*reference/],
    [['--threads', '0', 'doctor'], /0 is not a positive whole number/],
  ])('%j', (argv, message) => refused(argv, 2, message));

  it('no command at all shows what there is', async () => {
    expect(await fewbit()).toMatchObject({ code: 2, stderr: expect.stringMatching(/Usage: fewbit/) });
  });
});

describe('what fails ends with 1 and leaves nothing', () => {
  it.each<[argv: string[], message: RegExp]>([
    [['inspect', join(root, 'none')], /none is not a model directory that can be read: ENOENT/],
    [['eval', join(root, 'none'), '--text', text], /none is not a model directory/],
    [['generate', join(root, 'none'), '--prompt', 'A'], /none is not a model directory/],
    [['quantize', join(root, 'none'), '-o', output, '--method', 'rtn'], /none is not a model directory/],
    [['inspect', root], /has no config\.json/],
    [['eval', bare, '--text', text], /has no tokenizer\.json/],
    [['generate', bare, '--prompt', 'A'], /has no tokenizer\.json/],
    [['quantize', bare, '-o', output, '--calibration', text], /has no tokenizer\.json/],
    [['eval', model, '--text', join(root, 'none.txt')], /none\.txt cannot be read: ENOENT/],
    [['eval', model, '--text', join(model, 'tokenizer.bin')], /give a \.txt or \.raw file, or \.jsonl/],
    [['eval', model, '--text', empty], /empty\.txt holds no text/],
    [
      ['eval', model, '--text', short],
      /The text has \d+ tokens; protocol gptq needs at least 256\. Give more text, or a smaller --context/,
    ],
    [['eval', model, '--text', text, '--baseline', join(root, 'none')], /none is not a model directory/],
    [q('--calibration', join(root, 'none.txt')), /none\.txt cannot be read/],
    [q('--calibration', empty), /empty\.txt holds no text/],
    [
      q('--calibration', short, '--samples', '2', '--length', '64'),
      /short\.txt gives \d+ tokens; 2 windows of 64 need 128\. Give more text/,
    ],
    [calibrated(), /text\.txt gives \d+ tokens; 128 windows of 256 need 32768/],
    [q('--method', 'rtn', '--granularity', 'block'), /cannot hold model\.layers\.0\.self_attn\.q_proj \(and 34 more\)/],
    [
      q('--method', 'rtn', '--outliers', '0.5%'),
      /compressed-tensors cannot hold what method rtn keeps beside the codes: .*--layout fewbit holds them/,
    ],
    [q('--method', 'rtn', '--format', 'int3', '--double-quantization', '--dry-run'), /no int3 g16 two-level3x16: .*--layout fewbit holds/],
    [q('--method', 'rtn', '--granularity', 'block', '--dry-run'), /cannot hold model\.layers\.0\.self_attn\.q_proj/],
    [['quantize', model, '-o', join(text, 'out'), '--method', 'rtn'], /out cannot be written: (ENOTDIR|EEXIST)/],
  ])('%j', (argv, message) => refused(argv, 1, message));

  it('an output that exists is left as it is', async () => {
    const mine = join(root, 'mine');
    mkdirSync(mine);
    writeFileSync(join(mine, 'file'), 'kept');
    const message = /mine exists already: give another directory, or move it away/;
    for (const flags of [[], ['--dry-run']]) await refused(['quantize', model, '-o', mine, '--method', 'rtn', ...flags], 1, message);
    expect(readdirSync(mine)).toEqual(['file']);
    rmSync(mine, { recursive: true });
  });

  it.each<[what: string, damage: (path: string) => void, message: RegExp]>([
    [
      'truncated weights',
      (path) => writeFileSync(join(path, 'model.safetensors'), readFileSync(join(path, 'model.safetensors')).subarray(0, -1)),
      /model\.safetensors: .*it is truncated/,
    ],
    [
      'an unknown architecture',
      (path) => edit(path, { model_type: 'rwkv' }),
      /model_type 'rwkv' is not supported; supported are llama, mistral/,
    ],
    [
      'a config of another model',
      (path) => edit(path, { hidden_size: 96 }),
      /makes model\.embed_tokens\.weight \[2048, 96\], but the checkpoint has it as \[2048, 192\]/,
    ],
    ['another quantization', (path) => edit(path, { quantization_config: { quant_method: 'quip' } }), /quip|quantized already/],
  ])('%s', async (_, damage, message) => {
    const path = join(root, 'damaged');
    cpSync(model, path, { recursive: true });
    damage(path);
    await refused(['quantize', path, '-o', output, '--method', 'rtn'], 1, message);
    await refused(['generate', path, '--prompt', 'A'], 1, message);
    rmSync(path, { recursive: true });
  });
});

describe('a stack trace is shown only when asked for', () => {
  afterEach(() => vi.unstubAllEnvs());
  const failing = ['inspect', join(root, 'none')];
  it('by --debug or FEWBIT_DEBUG', async () => {
    expect((await fewbit(...failing)).stderr).toMatch(/^fewbit: .*\n$/);
    expect((await fewbit('--debug', ...failing)).stderr).toMatch(/\n\s+at /);
    vi.stubEnv('FEWBIT_DEBUG', '1');
    expect((await fewbit(...failing)).stderr).toMatch(/\n\s+at /);
  });

  it('FEWBIT_THREADS and FEWBIT_BACKEND are checked like flags', async () => {
    vi.stubEnv('FEWBIT_THREADS', 'many');
    await refused(['doctor'], 2, /FEWBIT_THREADS=many is not a positive whole number/);
    vi.unstubAllEnvs();
    vi.stubEnv('FEWBIT_BACKEND', 'abacus');
    await refused(['doctor'], 2, /abacus/);
  });
});

function edit(path: string, change: Record<string, unknown>): void {
  const file = join(path, 'config.json');
  writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, 'utf8')) as object), ...change }));
}
