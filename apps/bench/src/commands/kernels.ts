import { openBackend } from '@fewbit/presets';
import type { Command } from 'commander';
import type { KernelsDocument } from '../documents.js';
import type { GlobalOptions, Io } from '../io.js';
import { measureKernels } from '../measure-kernels.js';
import { activationPrecisions, choose, groupSize, list, positiveInteger, shares } from '../parse-option.js';
import { parseWeights } from '../parse-weights.js';
import { onnxruntimeProduct } from '../peers/onnxruntime-product.js';
import type { MatmulPeerProbe } from '../peers/types.js';
import { plotKernels } from '../plot.js';
import { print } from '../print.js';
import { planShape, shapeNames } from '../shapes.js';
import { describeMachine, figure, orDash, percent, table } from '../table.js';

interface Options extends GlobalOptions {
  readonly shape: string;
  readonly formats: readonly string[];
  readonly group?: number;
  readonly outliers: readonly number[];
  readonly activations: string;
  readonly peer: string;
  readonly prompt: number;
  readonly rounds: number;
  readonly stream: number;
}

const peers: Readonly<Record<string, MatmulPeerProbe | undefined>> = { onnxruntime: onnxruntimeProduct, none: undefined };

export function addKernels(program: Command, io: Io): void {
  program
    .command('kernels')
    .description('each kernel of a backend, beside the limits of the machine and beside a peer')
    .option('--shape <name>', `whose layers to take: ${shapeNames.join(', ')}`, 'tinyllama-1.1b')
    .option('--formats <a,b>', 'formats of weights, or types of ggml, beside float32', list, ['int4', 'int8'])
    .option('--group <n>', 'inputs that share a scale; -1: one scale per channel (default: 32 for integers)', groupSize)
    .option('--outliers <a,b>', 'shares of weights kept beside the codes: 0,0.5%', shares, [0])
    .option('--activations <type>', `of products with codes: ${Object.keys(activationPrecisions).join(', ')}`, 'int16')
    .option('--peer <name>', Object.keys(peers).join(', '), 'onnxruntime')
    .option('--prompt <n>', 'tokens of a prompt', positiveInteger, 512)
    .option('--rounds <n>', 'rounds, of which the median counts', positiveInteger, 5)
    .option('--stream <MB>', 'memory to read for the bandwidth: more than the caches hold', positiveInteger, 1200)
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const { formats, group, outliers, prompt, rounds } = options;
      const peer = choose('--peer', peers, options.peer);
      const activations = choose('--activations', activationPrecisions, options.activations);
      const plan = planShape(options.shape);
      const specs = formats.map((format) => parseWeights(format, group));
      const { backend } = await openBackend(options);
      try {
        const document = await measureKernels({
          ...{ backend, plan, specs, outliers, activations, prompt, rounds, peer },
          streamBytes: options.stream * 1e6,
          signal: io.signal,
          onProgress: (message) => io.stderr(`${message}\n`),
        });
        await print(io, options, document, describe, plotKernels);
      } finally {
        await backend.close();
      }
    });
}

function describe({ machine, rounds, rows, notes }: KernelsDocument): string {
  return [
    describeMachine(machine, rounds),
    table(
      ['op', 'shape', 'format', 'activations', 'kernel', 'ms', 'rate', 'of the limit', 'peer', 'ms', 'ratio'],
      rows.map((row) => [
        row.op,
        row.shape,
        row.format ?? '',
        row.activations ?? '',
        row.kernel,
        figure(row.milliseconds),
        `${figure(row.rate)} ${row.unit}`,
        `${percent(row.fractionOfLimit)}${row.limit === 'integerPeak' ? ' of int8' : ''}`,
        orDash(row.peer, ({ name, type }) => `${name} ${type}`),
        orDash(row.peer, ({ milliseconds }) => figure(milliseconds)),
        orDash(row.ratio, (ratio) => `${figure(ratio)}×`),
      ]),
    ),
    ...notes.map((note) => `note: ${note}\n`),
  ].join('');
}
