import { inspectModel, type ModelInspection } from '@fewbit/presets';
import type { Command } from 'commander';
import { type GlobalOptions, type Io, printJson } from '../io.js';
import { megabytes, table } from '../table.js';

export function addInspect(program: Command, io: Io): void {
  program
    .command('inspect')
    .description('what a model directory holds: architecture, formats, bits per weight')
    .argument('<model>', 'a Hugging Face model directory or a .gguf file, float or quantized')
    .option('--json', 'one JSON document on stdout')
    .action(async (path: string, _: unknown, command: Command) => {
      const inspection = await inspectModel(path);
      if (command.optsWithGlobals<GlobalOptions>().json) printJson(io, inspection);
      else io.stdout(describe(inspection));
    });
}

function describe({
  model,
  architecture,
  parameters,
  bytes,
  bitsPerWeight,
  layout,
  loads,
  writer,
  formats,
  modules,
}: ModelInspection): string {
  const inputs = [...new Set(modules.flatMap(({ activation }) => activation ?? []))];
  return [
    table(
      [model, ''],
      [
        ['architecture', architecture],
        ['parameters', parameters.toLocaleString('en')],
        ['size', megabytes(bytes)],
        ['bits per weight', bitsPerWeight.toFixed(3)],
        ['layout', layout ?? 'float'],
        ...(loads ? [['loads in', loads.join(', ') || 'Fewbit alone']] : []),
        ...inputs.map((activation) => ['inputs', activation]),
        ...(writer ? [['written by', writer]] : []),
        ...formats.map(({ format, modules, parameters }) => [format, `${modules} tensors, ${parameters.toLocaleString('en')} values`]),
      ],
    ),
    table(
      ['tensor', 'format', 'shape', 'bits', 'size'],
      modules.map((module) => [
        module.name,
        module.format,
        module.shape.join(' × '),
        module.bitsPerWeight.toFixed(3),
        megabytes(module.bytes),
      ]),
    ),
  ].join('');
}
