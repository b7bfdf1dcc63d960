import { FewbitError } from '@fewbit/core';
import { inspectModel, type ModelInspection } from '@fewbit/presets';
import type { Command } from 'commander';
import { type GlobalOptions, type Io, printJson } from '../io.js';
import { megabytes, table } from '../table.js';

export function addInspect(program: Command, io: Io): void {
  program
    .command('inspect')
    .description('what a model directory holds: architecture, formats, bits per weight')
    .argument('<model>', 'a Hugging Face model directory or a .gguf file, float or quantized')
    .option('--verify', 'read the files and compare them with the hashes in the model card')
    .option('--json', 'one JSON document on stdout')
    .action(async (path: string, _: unknown, command: Command) => {
      const { verify = false, json } = command.optsWithGlobals<GlobalOptions & { readonly verify?: boolean }>();
      const inspection = await inspectModel(path, { verify });
      if (json) printJson(io, inspection);
      else io.stdout(describe(inspection));
      if (verify) requireSame(inspection);
    });
}

function requireSame({ model, files }: ModelInspection): void {
  if (!files) {
    throw new FewbitError(
      'checkpoint',
      `${model} has no model card with hashes: it cannot be verified. Fewbit writes one into every model directory.`,
    );
  }
  const bad = files.filter(({ state }) => state !== 'same');
  if (bad.length === 0) return;
  const list = bad.map(({ name, state }) => `${name} ${state === 'missing' ? 'is missing' : 'differs'}`).join(', ');
  throw new FewbitError('checkpoint', `${model} is not what its model card says: ${list}. Copy it again from where it came.`);
}

function describe({
  model,
  architecture,
  parameters,
  bytes,
  bitsPerWeight,
  layout,
  unread,
  keyValues,
  loads,
  writer,
  formats,
  modules,
  files,
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
        unread === undefined
          ? ['layout', layout ?? 'float']
          : ['not read', `quant_method ${unread}: tensors are listed as they are stored, codes as integers`],
        ...(loads ? [['loads in', loads.join(', ') || 'Fewbit alone']] : []),
        ...inputs.map((activation) => ['inputs', activation]),
        ...(keyValues ? [['keys and values', keyValues]] : []),
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
    ...(files
      ? [
          table(
            ['file', 'size', 'sha256', 'state'],
            files.map(({ name, bytes, sha256, state }) => [name, megabytes(bytes), sha256, state]),
          ),
        ]
      : []),
  ].join('');
}
