import { readFile } from 'node:fs/promises';
import { FewbitError } from '@fewbit/core';
import {
  activationNames,
  formatNames,
  ggufMixNames,
  keyValueNames,
  layoutNames,
  methodNames,
  openBackend,
  parseRecipe,
  planQuantize,
  type QuantizeReport,
  quantizePretrained,
  type RunPlan,
  targetNames,
} from '@fewbit/presets';
import type { Command } from 'commander';
import { describePlan } from '../describe-plan.js';
import { type GlobalOptions, type Io, printJson } from '../io.js';
import { byteSize, jsonObject, positiveInteger, share, wholeNumber } from '../parse-option.js';
import { duration, progressBar } from '../progress-bar.js';
import { megabytes, scientific, table } from '../table.js';

interface Options extends GlobalOptions {
  readonly output: string;
  readonly recipe?: string;
  readonly dryRun?: boolean;
  readonly maxMemory?: number;
  readonly calibration?: string;
  readonly samples?: number;
  readonly length?: number;
  readonly sampling?: string;
  readonly symmetric?: boolean;
  readonly asymmetric?: boolean;
  readonly doubleQuantization?: boolean;
  readonly [flag: string]: unknown;
}

export function addQuantize(program: Command, io: Io): void {
  program
    .command('quantize')
    .description('round the linear layers of a model and write a checkpoint that the engines load')
    .argument('<model>', 'a Hugging Face model directory, or a .gguf file in float')
    .requiredOption('-o, --output <dir>', 'the directory to write; must not exist')
    .option('--method <name>', `${methodNames.join(', ')} (default: gptq, or rtn with --imatrix)`)
    .option('--method-options <json>', 'options of the method, a JSON object', jsonObject)
    .option('--format <name>', `${formatNames.join(', ')} (default: int4); in layout gguf ${ggufMixNames.join(', ')} (default: q4_k_m)`)
    .option('--group <n>', 'inputs that share a scale; -1: one scale per channel (default: the format’s own, 128 for int)', wholeNumber)
    .option('--granularity <kind>', 'tensor, channel, group, block (default: group for int, channel for fp8 and codebooks)')
    .option('--symmetric', 'symmetric grid (default at 4 and 8 bits)')
    .option('--asymmetric', 'asymmetric grid (default at the other widths)')
    .option(
      '--double-quantization',
      'scales quantized in their turn: in 8 bits (nf4, fp4), in 3 bits with zero points (int, --layout fewbit)',
    )
    .option('--outliers <share>', 'weights kept beside the codes, as 0.5% or 0.005 of each matrix (--layout fewbit; default: none)', share)
    .option('--activations <name>', `${activationNames.join(', ')}: how the inputs of layers are rounded (default: none)`)
    .option('--kv <name>', `${keyValueNames.join(', ')}: how keys and values are rounded (default: none)`)
    .option('--observer <how>', 'static scales of activations, keys and values: minmax, percentile, mse (default: minmax)')
    .option('--target <engine>', `${targetNames.join(', ')}: refuse early what it would not load`)
    .option('--layout <name>', `${layoutNames.join(', ')} (default: compressed-tensors)`)
    .option('--calibration <file>', 'text to calibrate on: .txt, .raw, or .jsonl with a "text" field per line')
    .option('--samples <n>', 'calibration windows (default: 128)', positiveInteger)
    .option('--length <n>', 'tokens of a window (default: 2048, at most what the model takes)', positiveInteger)
    .option('--sampling <how>', 'spread, first, random (default: spread)')
    .option('--imatrix [file]', "importance of each layer's inputs, as llama.cpp measures it: a file, or measured on --calibration")
    .option('--recipe <file>', 'a JSON file with all of the above; flags win over it')
    .option('--seed <n>', 'for random sampling (default: 0)', wholeNumber)
    .option('--max-memory <size>', 'memory that the process may take, as 8GB or 6GiB (default: 80 % of what is available)', byteSize)
    .option('--dry-run', 'check everything, print the plan, write nothing')
    .option('--json', 'one JSON document on stdout')
    .action(async (model: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const job = { ...parseRecipe(await recipeOf(options)), model, output: options.output };
      const { backend } = await openBackend(options);
      const limits = { backend, ...(options.maxMemory !== undefined && { maxMemory: options.maxMemory }) };
      const onPlan = (plan: RunPlan) => io.stderr(describePlan(plan));
      const bar = progressBar(io);
      try {
        if (options.dryRun) {
          const plan = await planQuantize(job, limits);
          onPlan(plan);
          return printJson(io, plan);
        }
        const report = await quantizePretrained(job, {
          ...limits,
          signal: io.signal,
          onPlan,
          onProgress: ({ fraction, phase, at }) => bar.update(fraction, `${phase} ${at}`),
        });
        bar.stop();
        if (options.json) printJson(io, report);
        else io.stdout(describe(report));
      } finally {
        bar.stop();
        await backend.close();
      }
    });
}

/** Flags over the recipe file; what neither says is left to the recipe's defaults. */
async function recipeOf(options: Options): Promise<Record<string, unknown>> {
  if (options.symmetric && options.asymmetric) throw new FewbitError('usage', 'A grid is either --symmetric or --asymmetric, not both.');
  const file = options.recipe ? await readRecipe(options.recipe) : {};
  const { calibration: path, samples, length, sampling } = options;
  const calibration = { ...(file.calibration as object), ...defined({ path, samples, length, sampling }) };
  if (Object.keys(calibration).length > 0 && !('path' in calibration)) {
    throw new FewbitError('usage', '--samples, --length and --sampling choose windows of a text: say which with --calibration.');
  }
  const flags = defined({
    method: options.method,
    methodOptions: options.methodOptions,
    format: options.format,
    group: options.group,
    granularity: options.granularity,
    symmetric: options.symmetric ? true : options.asymmetric ? false : undefined,
    doubleQuantization: options.doubleQuantization,
    outliers: options.outliers,
    activations: options.activations,
    kv: options.kv,
    observer: options.observer,
    target: options.target,
    layout: options.layout,
    imatrix: options.imatrix,
    seed: options.seed,
  });
  return { ...file, ...flags, ...('path' in calibration && { calibration }) };
}

function defined(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));
}

async function readRecipe(path: string): Promise<Record<string, unknown>> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  } catch (cause) {
    throw new FewbitError('usage', `Recipe ${path} cannot be read as JSON: ${(cause as Error).message}.`, { cause });
  }
}

function describe(report: QuantizeReport): string {
  const { backend, bytes, layers } = report;
  const rows = layers.map((layer) => [
    layer.name,
    layer.format,
    scientific(layer.weightError),
    scientific(layer.outputError),
    layer.bitsPerWeight.toFixed(3),
    megabytes(layer.bytes),
  ]);
  const notes = [...report.notes, ...layers.flatMap((layer) => layer.notes.map((note) => `${layer.name}: ${note}`))];
  return [
    table(['layer', 'format', 'weight error', 'output error', 'bits', 'size'], rows),
    ...notes.map((note) => `note: ${note}\n`),
    ...(report.activations ? [`inputs: ${report.activations}\n`] : []),
    ...(report.keyValues ? [`keys and values: ${report.keyValues}\n`] : []),
    `${report.output}: ${report.method}, ${report.layout}, ${report.bitsPerWeight.toFixed(3)} bits per weight in the quantized layers\n`,
    `${megabytes(bytes.before)} → ${megabytes(bytes.after)} in ${duration(report.seconds)}, at most ${megabytes(report.peakMemory)} of memory\n`,
    `kernels: ${backend.id}: ${backend.description}\n`,
    `read back: logits differ by ${report.readBack.toExponential(1)} (relative L2) from the model in memory\n`,
  ].join('');
}
