import { type Protocol, protocols } from '@fewbit/eval';
import { createMethod, openBackend, parseFormat } from '@fewbit/presets';
import type { Command } from 'commander';
import type { AccuracyDocument } from '../documents.js';
import type { GlobalOptions, Io } from '../io.js';
import { measureAccuracy } from '../measure-accuracy.js';
import { choose, groupSizes, list, positiveInteger } from '../parse-option.js';
import { plotAccuracy } from '../plot.js';
import { print } from '../print.js';
import { figure, orDash, table } from '../table.js';

interface Options extends GlobalOptions {
  readonly text: string;
  readonly calibration?: string;
  readonly methods?: readonly string[];
  readonly formats: readonly string[];
  readonly groups?: readonly number[];
  readonly protocols: readonly string[];
  readonly context?: number;
  readonly windows?: number;
  readonly samples?: number;
  readonly length?: number;
  readonly generate: number;
}

export function addAccuracy(program: Command, io: Io): void {
  program
    .command('accuracy')
    .description('perplexity, KL divergence, size and speed of a model quantized in several ways')
    .argument('<model>', 'a float model directory')
    .requiredOption('--text <file>', 'to evaluate on: .txt or .raw as it is, .jsonl with a "text" field per line')
    .option('--calibration <file>', 'to calibrate on')
    .option('--methods <a,b>', 'methods (default: rtn, with --calibration also gptq)', list)
    .option('--formats <a,b>', 'formats', list, ['int8', 'int4', 'int3'])
    .option('--groups <a,b>', 'inputs that share a scale; -1: one scale per channel (default: each format’s own)', groupSizes)
    .option('--protocols <a,b>', `${protocols.join(', ')}; KL and top-1 are measured by the first`, list, ['gptq'])
    .option('--context <n>', 'tokens of a window (default: 2048, 512 for llama.cpp; at most what the model takes)', positiveInteger)
    .option('--windows <n>', 'only the first n windows', positiveInteger)
    .option('--samples <n>', 'calibration windows (default: 128)', positiveInteger)
    .option('--length <n>', 'tokens of a calibration window (default: 2048, at most what the model takes)', positiveInteger)
    .option('--generate <n>', 'tokens to generate for the speed', positiveInteger, 64)
    .action(async (model: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const { text, context, windows, generate } = options;
      const known = Object.fromEntries(protocols.map((protocol) => [protocol, protocol])) as Record<string, Protocol>;
      const chosen = options.protocols.map((name) => choose('--protocols', known, name));
      const recipes = recipesOf(options);
      const { backend } = await openBackend(options);
      try {
        const document = await measureAccuracy({
          ...{ model, text, recipes, protocols: chosen, context, windows, generate, backend, signal: io.signal },
          onProgress: (message) => io.stderr(`${message}\n`),
        });
        await print(io, options, document, describe, plotAccuracy);
      } finally {
        await backend.close();
      }
    });
}

/** Every method with every format and group; wrong names are said before a model is looked for. */
function recipesOf({ calibration: path, methods = path ? ['rtn', 'gptq'] : ['rtn'], formats, groups, samples, length }: Options) {
  const calibration = path && { path, ...(samples && { samples }), ...(length && { length }) };
  return methods.flatMap((method) =>
    formats.flatMap((format) =>
      (groups ?? [undefined]).map((group) => {
        createMethod(method);
        parseFormat({ format, group }, 'F32');
        return { method, format, ...(group !== undefined && { group }), ...(calibration && { calibration }) };
      }),
    ),
  );
}

function describe({ model, text, context, windows, backend, rows, notes }: AccuracyDocument): string {
  const measured = Object.keys(rows[0]!.perplexity) as Protocol[];
  return [
    `${model} on ${text}, context ${context}${windows ? `, ${windows} windows` : ''}, backend ${backend}\n`,
    table(
      [
        'method',
        'format',
        'bits',
        'MB',
        ...measured.map((protocol) => `perplexity ${protocol}`),
        'KL, nats',
        'same top-1',
        'decode tok/s',
        's',
      ],
      rows.map((row) => [
        row.method,
        row.group === null ? row.format : `${row.format} g${row.group}`,
        row.bitsPerWeight.toFixed(3),
        figure(row.bytes / 1e6),
        ...measured.map((protocol) => `${row.perplexity[protocol]!.toFixed(4)} ± ${row.standardError[protocol]!.toFixed(4)}`),
        orDash(row.kl, ({ mean, standardError }) => `${mean.toFixed(5)} ± ${standardError.toFixed(5)}`),
        orDash(row.topOne, ({ agreement, standardError }) => `${(100 * agreement).toFixed(2)} ± ${(100 * standardError).toFixed(2)} %`),
        figure(row.decodeTokensPerSecond),
        row.seconds.toFixed(1),
      ]),
    ),
    ...notes.map((note) => `note: ${note}\n`),
  ].join('');
}
