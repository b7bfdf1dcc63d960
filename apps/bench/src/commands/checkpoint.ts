import type { Command } from 'commander';
import type { CheckpointDocument } from '../documents.js';
import type { GlobalOptions, Io } from '../io.js';
import { groupSize, positiveInteger } from '../parse-option.js';
import { parseWeights } from '../parse-weights.js';
import { shapeNames } from '../shapes.js';
import { gigabytes } from '../table.js';
import { writeSynthetic } from '../write-synthetic.js';

interface Options extends GlobalOptions {
  readonly shape: string;
  readonly output: string;
  readonly format: string;
  readonly group?: number;
  readonly seed: number;
}

export function addCheckpoint(program: Command, io: Io): void {
  program
    .command('checkpoint')
    .description('write random weights of a shape to a directory, for `model <directory>`: loading and memory are then those of a file')
    .requiredOption('--shape <name>', shapeNames.join(', '))
    .requiredOption('-o, --output <directory>', 'where to; must not exist')
    .option('--format <name>', 'format of the linear layers', 'int4')
    .option('--group <n>', 'inputs that share a scale; -1: one scale per channel (default: 32 for integers)', groupSize)
    .option('--seed <n>', 'of the weights', positiveInteger, 1)
    .option('--json', 'one JSON document on stdout')
    .action(async (_: unknown, command: Command) => {
      const { shape, output, format, group, seed, json } = command.optsWithGlobals<Options>();
      const { bytes } = await writeSynthetic(shape, output, parseWeights(format, group), parseWeights('int8', group), seed);
      const document: CheckpointDocument = { output, shape, format, bytes };
      io.stdout(json ? `${JSON.stringify(document, null, 2)}\n` : `${output}: ${shape} in ${format}, ${gigabytes(bytes)}\n`);
    });
}
