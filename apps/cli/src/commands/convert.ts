import { FewbitError } from '@fewbit/core';
import { convertPretrained, type FormatChoice, formatNames, layoutNames, targetNames } from '@fewbit/presets';
import type { Command } from 'commander';
import { type GlobalOptions, type Io, printJson } from '../io.js';
import { wholeNumber } from '../parse-option.js';
import { megabytes } from '../table.js';

interface Options extends GlobalOptions {
  readonly output: string;
  readonly layout: string;
  readonly dtype?: string;
  readonly activations?: string;
  readonly kv?: string;
  readonly target?: string;
  readonly refit?: boolean;
  readonly format?: string;
  readonly group?: number;
  readonly granularity?: NonNullable<FormatChoice['granularity']>;
  readonly symmetric?: boolean;
  readonly asymmetric?: boolean;
  readonly doubleQuantization?: boolean;
}

export function addConvert(program: Command, io: Io): void {
  program
    .command('convert')
    .description('write a model in another layout: the same weights where it has them, refused otherwise')
    .argument('<model>', 'a Hugging Face model directory or a GGUF file')
    .requiredOption('-o, --output <dir>', 'the directory to write; must not exist')
    .requiredOption('--layout <name>', `float, ${layoutNames.join(', ')}`)
    .option('--dtype <name>', 'round float tensors to f32, f16 or bf16')
    .option('--activations <none>', 'none: leave inputs in float that were rounded')
    .option('--kv <none>', 'none: leave keys and values in float that were rounded')
    .option('--target <engine>', `${targetNames.join(', ')}: refuse early what it would not load`)
    .option('--refit', 'round the weights again to --format, but for those on such a grid that the layout has a place for')
    .option('--format <name>', `with --refit: ${formatNames.join(', ')}`)
    .option('--group <n>', 'with --refit: as for quantize', wholeNumber)
    .option('--granularity <kind>', 'with --refit: as for quantize')
    .option('--symmetric', 'with --refit: as for quantize')
    .option('--asymmetric', 'with --refit: as for quantize')
    .option('--double-quantization', 'with --refit: as for quantize')
    .option('--json', 'one JSON document on stdout')
    .action(async (model: string, _: unknown, command: Command) => {
      const { output, layout, dtype, activations, kv, target, refit, json, ...options } = command.optsWithGlobals<Options>();
      if (Boolean(refit) !== (options.format !== undefined)) {
        throw new FewbitError('usage', '--refit rounds the weights again to a format: say which with --format, and give both or neither.');
      }
      const report = await convertPretrained(
        { model, output, layout, dtype, activations, kv, target, refit: choiceOf(options) },
        { signal: io.signal },
      );
      if (json) return printJson(io, report);
      const { refitLayers, refitError } = report;
      const error =
        refitError === undefined ? '' : `: ${refitLayers} rounded again with a relative square error of ${refitError.toExponential(2)}`;
      io.stdout(
        [
          ...report.notes.map((note) => `note: ${note}\n`),
          `${report.output}: ${report.layout}, ${report.layers} quantized matrices, ${report.exact ? 'every weight the same' : `not exact${error}`}\n`,
          `${megabytes(report.bytes.before)} → ${megabytes(report.bytes.after)}\n`,
        ].join(''),
      );
    });
}

function choiceOf({ format, group, granularity, symmetric, asymmetric, doubleQuantization }: Partial<Options>): FormatChoice | undefined {
  if (symmetric && asymmetric) throw new FewbitError('usage', 'A grid is either --symmetric or --asymmetric, not both.');
  const flags = { group, granularity, symmetric: symmetric ? true : asymmetric ? false : undefined, doubleQuantization };
  return format === undefined ? undefined : { format, ...flags };
}
