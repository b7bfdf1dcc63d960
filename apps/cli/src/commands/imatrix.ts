import { openBackend, writeImportance } from '@fewbit/presets';
import type { Command } from 'commander';
import { type GlobalOptions, type Io, printJson } from '../io.js';
import { oneOf, positiveInteger, wholeNumber } from '../parse-option.js';
import { duration, progressBar } from '../progress-bar.js';

interface Options extends GlobalOptions {
  readonly output: string;
  readonly calibration: string;
  readonly samples?: number;
  readonly length?: number;
  readonly sampling?: string;
  readonly seed?: number;
}

const samplings = ['spread', 'first', 'random'] as const;

export function addImatrix(program: Command, io: Io): void {
  program
    .command('imatrix')
    .description("measure the importance of each layer's inputs and write it as llama.cpp's imatrix file")
    .argument('<model>', 'a Hugging Face model directory or a .gguf file')
    .requiredOption('-o, --output <file>', 'the file to write; must not exist; .dat is the old form, any other name GGUF')
    .requiredOption('--calibration <file>', 'text to measure on: .txt, .raw, or .jsonl with a "text" field per line')
    .option('--samples <n>', 'windows (default: 128)', positiveInteger)
    .option('--length <n>', 'tokens of a window (default: 2048, at most what the model takes)', positiveInteger)
    .option('--sampling <how>', 'spread, first, random (default: spread)')
    .option('--seed <n>', 'for random sampling (default: 0)', wholeNumber)
    .option('--json', 'one JSON document on stdout')
    .action(async (model: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const { output, calibration: path, samples, length, seed = 0 } = options;
      const sampling = options.sampling === undefined ? undefined : oneOf('sampling', samplings, options.sampling);
      const { backend } = await openBackend(options);
      const bar = progressBar(io);
      try {
        const report = await writeImportance(
          { model, output, calibration: { path, samples, length, sampling }, seed },
          { backend, signal: io.signal, onProgress: ({ fraction, phase, at }) => bar.update(fraction, `${phase} ${at}`) },
        );
        bar.stop();
        if (options.json) printJson(io, report);
        else
          io.stdout(
            `${output}: ${report.entries} weights, measured on ${report.calibration.tokens} tokens in ${duration(report.seconds)}\n`,
          );
      } finally {
        bar.stop();
        await backend.close();
      }
    });
}
