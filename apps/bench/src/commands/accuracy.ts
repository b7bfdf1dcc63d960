import { FewbitError } from '@fewbit/core';
import { type Protocol, protocols } from '@fewbit/eval';
import { createMethod, openBackend, parseFormat, parseRecipe } from '@fewbit/presets';
import type { Command } from 'commander';
import type { AccuracyDocument } from '../documents.js';
import type { GlobalOptions, Io } from '../io.js';
import { outliersLabel } from '../keep-outliers.js';
import { measureAccuracy } from '../measure-accuracy.js';
import { choose, groupSizes, list, positiveInteger, shares } from '../parse-option.js';
import { plotAccuracy } from '../plot.js';
import { print } from '../print.js';
import { groupOfRecipe, rowLabel } from '../row-label.js';
import { figure, orDash, table } from '../table.js';
import { type BenchRecipe, type Usual, usualRecipes } from '../usual-recipes.js';

interface Options extends GlobalOptions {
  readonly text: string;
  readonly calibration?: string;
  readonly methods?: readonly string[];
  readonly formats?: readonly string[];
  readonly usual?: boolean;
  readonly groups?: readonly number[];
  readonly outliers?: readonly number[];
  readonly protocols: readonly string[];
  readonly context?: number;
  readonly windows?: number;
  readonly samples?: number;
  readonly length?: number;
  readonly sampling?: string;
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
    .option('--formats <a,b>', 'formats (default: int8, int4, int3)', list)
    .option(
      '--usual',
      'every format at its usual granularity, in a layout that holds it; with --formats only rows of these names, or that begin so',
    )
    .option('--groups <a,b>', 'inputs that share a scale; -1: one scale per channel (default: each format’s own)', groupSizes)
    .option('--outliers <a,b>', 'shares of weights kept beside the codes, in layout fewbit: 0,0.5%,1% (default: none)', shares)
    .option('--protocols <a,b>', `${protocols.join(', ')}; KL and top-1 are measured by the first`, list, ['gptq'])
    .option('--context <n>', 'tokens of a window (default: 2048, 512 for llama.cpp; at most what the model takes)', positiveInteger)
    .option('--windows <n>', 'only the first n windows', positiveInteger)
    .option('--samples <n>', 'calibration windows (default: 128)', positiveInteger)
    .option('--length <n>', 'tokens of a calibration window (default: 2048, at most what the model takes)', positiveInteger)
    .option('--sampling <how>', 'spread, first, random (default: spread)')
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

/** Every format, group and share of outliers with every method; wrong names are said before a model is looked for. */
function recipesOf(options: Options): BenchRecipe[] {
  const { calibration: path, methods = path ? ['rtn', 'gptq'] : ['rtn'], samples, length, sampling, usual, outliers = [0] } = options;
  if (usual && options.groups) throw new FewbitError('usage', '--usual has groups of its own: leave --groups out.');
  const chosen = { ...(samples && { samples }), ...(length && { length }), ...(sampling && { sampling: sampling as 'spread' }) };
  const calibration = path ? { calibration: { path, ...chosen } } : {};
  const chosenFormats = usual ? usualOf(options) : formatsOf(options);
  return chosenFormats
    .flatMap((format) => outliers.map((share) => withOutliers(format, share)))
    .flatMap((recipe) =>
      methods.map((method) => {
        createMethod(method);
        const { variant: _, ...asRecipe } = recipe;
        parseRecipe({ ...asRecipe, method, ...calibration });
        if (recipe.layout !== 'gguf') parseFormat(recipe, 'F32');
        return { ...recipe, method, ...calibration };
      }),
    );
}

function withOutliers(recipe: Usual, share: number): Usual {
  if (share === 0) return recipe;
  const variant = [...(recipe.variant ? [recipe.variant] : []), outliersLabel(share)].join(' ');
  return { ...recipe, outliers: share, layout: 'fewbit', variant };
}

/** The usual recipes, or those that `formats` name: by a row's whole label, or by the words that the labels of several begin with. */
function usualOf({ formats }: Options): readonly Usual[] {
  if (!formats) return usualRecipes;
  const labelled = usualRecipes.map((recipe) => ({ recipe, label: rowLabel({ ...recipe, group: groupOfRecipe(recipe) }) }));
  const chosen = formats.flatMap((name) => {
    const exact = labelled.filter(({ label }) => label === name);
    const found = exact.length > 0 ? exact : labelled.filter(({ label }) => label.startsWith(`${name} `));
    if (found.length > 0) return found;
    throw new FewbitError('usage', `--usual has no ${name}. Choose of: ${labelled.map(({ label }) => label).join(', ')}.`);
  });
  return [...new Set(chosen.map(({ recipe }) => recipe))];
}

function formatsOf({ formats = ['int8', 'int4', 'int3'], groups }: Options): Usual[] {
  return formats.flatMap((format) => (groups ?? [undefined]).map((group) => ({ format, ...(group !== undefined && { group }) })));
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
        rowLabel(row),
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
