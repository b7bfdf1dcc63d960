import { openModelDirectory } from '@fewbit/checkpoint';
import { FewbitError } from '@fewbit/core';
import type { FormatSpec } from '@fewbit/formats';
import type { Backend } from '@fewbit/kernels';
import { linears } from '@fewbit/models';
import { keyValueCacheNames, layouts, openBackend, parseKeyValueCache } from '@fewbit/presets';
import { openWeights, type WeightSource } from '@fewbit/runtime';
import type { Command } from 'commander';
import type { ModelDocument } from '../documents.js';
import { formatFamily } from '../format-label.js';
import type { GlobalOptions, Io } from '../io.js';
import { measureModel } from '../measure-model.js';
import { activationPrecisions, choose, groupSize, positiveInteger } from '../parse-option.js';
import { parseWeights } from '../parse-weights.js';
import { llamaCpp } from '../peers/llama-cpp.js';
import { onnxruntimeModel } from '../peers/onnxruntime-model.js';
import type { PeerProbe } from '../peers/types.js';
import { plotModel } from '../plot.js';
import { print } from '../print.js';
import { planShape, shapeNames } from '../shapes.js';
import { roundedWeights, syntheticWeights } from '../synthetic-weights.js';
import { describeMachine, figure, gigabytes, orDash, percent, table } from '../table.js';

interface Options extends GlobalOptions {
  readonly shape?: string;
  readonly format: string;
  readonly group?: number;
  readonly what: string;
  readonly activations: string;
  readonly kvCache: string;
  readonly peer: string;
  readonly prompt: number;
  readonly generate: number;
  readonly sequences: number;
  readonly rounds: number;
  readonly stream: number;
  readonly seed: number;
}

const peers: Readonly<Record<string, PeerProbe | undefined>> = { 'llama.cpp': llamaCpp, onnxruntime: onnxruntimeModel, none: undefined };
const kinds: Readonly<Record<string, readonly ('decode' | 'prefill')[]>> = {
  decode: ['decode'],
  prefill: ['prefill'],
  both: ['decode', 'prefill'],
};

export function addModel(program: Command, io: Io): void {
  program
    .command('model')
    .description('tokens per second of a whole model, beside the limits of the machine and beside a peer')
    .argument('[model]', 'a model directory; a float one is rounded to --format in memory')
    .option('--shape <name>', `random weights of a shape instead: ${shapeNames.join(', ')}`)
    .option('--format <name>', 'format of the linear layers, or their type of ggml (q4_k)', 'int4')
    .option('--group <n>', 'inputs that share a scale; -1: one scale per channel (default: 32 for integers)', groupSize)
    .option('--what <kind>', Object.keys(kinds).join(', '), 'both')
    .option('--activations <type>', `of layers in codes: ${Object.keys(activationPrecisions).join(', ')}`, 'int16')
    .option('--kv-cache <type>', `how keys and values are kept: ${keyValueCacheNames.join(', ')}`, 'f16')
    .option('--peer <name>', Object.keys(peers).join(', '), 'llama.cpp')
    .option('--prompt <n>', 'tokens of the prompt', positiveInteger, 512)
    .option('--generate <n>', 'tokens to generate', positiveInteger, 64)
    .option('--sequences <n>', 'also decode so many sequences at different positions together, and one after the other', positiveInteger, 1)
    .option('--rounds <n>', 'rounds, of which the median counts', positiveInteger, 5)
    .option('--stream <MB>', 'memory to read for the bandwidth: more than the caches hold', positiveInteger, 1200)
    .option('--seed <n>', 'of weights and prompt', positiveInteger, 1)
    .action(async (path: string | undefined, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const what = choose('--what', kinds, options.what);
      const peer = choose('--peer', peers, options.peer);
      const activations = choose('--activations', activationPrecisions, options.activations);
      const keyValues = parseKeyValueCache(options.kvCache);
      const { backend } = await openBackend(options);
      try {
        const { name, source, isStored, format, spec, close } = await openSource(path, options, backend);
        try {
          const { prompt, generate, sequences, rounds, seed } = options;
          const document = await measureModel({
            ...{
              shape: name,
              source,
              isStored,
              backend,
              format,
              spec,
              activations,
              keyValues,
              what,
              prompt,
              generate,
              sequences,
              rounds,
              seed,
              peer,
            },
            streamBytes: options.stream * 1e6,
            signal: io.signal,
            onProgress: (message) => io.stderr(`${message}\n`),
          });
          await print(io, options, document, describe, plotModel);
        } finally {
          await close();
        }
      } finally {
        await backend.close();
      }
    });
}

interface Source {
  readonly name: string;
  readonly source: WeightSource;
  readonly isStored: boolean;
  /** By its command-line name, where it has one, and in full. */
  readonly format: string;
  readonly spec: FormatSpec;
  close(): Promise<void>;
}

async function openSource(path: string | undefined, options: Options, { mapper }: Backend): Promise<Source> {
  const { shape, format, group, seed } = options;
  const spec = parseWeights(format, group);
  if ((path === undefined) === (shape === undefined)) {
    throw new FewbitError('usage', `Give either a model directory or --shape (one of: ${shapeNames.join(', ')}).`);
  }
  const headSpec = parseWeights('int8', group);
  if (shape !== undefined) {
    const source = syntheticWeights(planShape(shape), spec, headSpec, seed);
    return { name: shape, source, isStored: false, format, spec, close: async () => undefined };
  }
  const directory = await openModelDirectory(path!, mapper && { mapper });
  try {
    const source = await openWeights(directory, layouts);
    const stored = (await source.quantized(linears(source.plan)[0]!.module))?.spec;
    const close = () => directory.close();
    return stored
      ? { name: path!, source, isStored: true, format: formatFamily(stored), spec: stored, close }
      : { name: path!, source: roundedWeights(source, spec, headSpec), isStored: false, format, spec, close };
  } catch (error) {
    await directory.close();
    throw error;
  }
}

function describe({ machine, memory, eventLoopLag, rounds, rows, notes }: ModelDocument): string {
  return [
    describeMachine(machine, rounds),
    table(
      ['', 'shape', 'format', 'activations', 'kernel', 'tok/s', 'of the limit', 'peer', 'tok/s', 'ratio'],
      rows.map((row) => [
        row.sequences ? `${row.what} ${row.sequences} × ${row.tokens}` : `${row.what} ${row.tokens}`,
        row.shape,
        row.group === null ? row.format : `${row.format} g${row.group}`,
        row.activations,
        row.kernel,
        figure(row.tokensPerSecond),
        percent(row.fractionOfLimit),
        orDash(row.peer, ({ name, type }) => `${name} ${type}`),
        orDash(row.peer, ({ tokensPerSecond }) => figure(tokensPerSecond)),
        orDash(row.ratio, (ratio) => `${figure(ratio)}×`),
      ]),
    ),
    ...rows.flatMap(({ sequences, perSequence, oneByOne, gain }) =>
      sequences && perSequence && oneByOne && gain
        ? [
            `batch: ${figure(perSequence)} tok/s for each of ${sequences} sequences; one after the other ${figure(oneByOne)} in all, together ${figure(gain)}×\n`,
          ]
        : [],
    ),
    `memory: weights ${gigabytes(memory.weights)}, keys and values ${gigabytes(memory.cache)}; the process at most ${gigabytes(memory.peakResident)}, ${percent(memory.overWeights)} above the weights\n`,
    ...Object.entries(eventLoopLag).map(
      ([what, { p50, p99, max }]) =>
        `event loop during ${what}: held up for ${figure(p50)} ms (median), ${figure(p99)} (one in 100), ${figure(max)} at most\n`,
    ),
    ...notes.map((note) => `note: ${note}\n`),
  ].join('');
}
