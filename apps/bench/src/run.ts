import { FewbitError } from '@fewbit/core';
import { Command, CommanderError } from 'commander';
import { addAccuracy } from './commands/accuracy.js';
import { addCheckpoint } from './commands/checkpoint.js';
import { addKernels } from './commands/kernels.js';
import { addModel } from './commands/model.js';
import type { Io } from './io.js';
import { positiveInteger } from './parse-option.js';
import { version } from './version.js';

/** Runs `fewbit-bench <arguments>` and returns the exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const program = createProgram(io);
  try {
    await program.parseAsync(argv, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    io.stderr(`${message(error, process.env.FEWBIT_DEBUG !== undefined)}\n`);
    if (!FewbitError.is(error)) return 1;
    return { usage: 2, cancelled: 130 }[error.code as string] ?? 1;
  }
}

function createProgram(io: Io): Command {
  const program = new Command('fewbit-bench')
    .description(
      'Measure quantized models: speed beside the limits of the machine and beside other engines, accuracy beside the float model.',
    )
    .version(version)
    .option('--threads <n>', 'worker threads, also of the peers (default: all cores, or FEWBIT_THREADS)', positiveInteger)
    .option('--backend <name>', 'kernel backend: auto, cpu, wasm, reference (default: auto, or FEWBIT_BACKEND)')
    .showHelpAfterError('(fewbit-bench --help, or fewbit-bench <command> --help, shows what there is)')
    .configureOutput({ writeOut: io.stdout, writeErr: io.stderr })
    .exitOverride();
  for (const add of [addModel, addKernels, addAccuracy]) add(program, io);
  for (const command of program.commands) {
    command.option('--plot <file>', 'also draw the table, as SVG').option('--json', 'one JSON document on stdout');
  }
  addCheckpoint(program, io);
  for (const command of program.commands) command.copyInheritedSettings(program);
  return program;
}

function message(error: unknown, debug: boolean): string {
  if (debug && error instanceof Error) return error.stack ?? String(error);
  if (FewbitError.is(error)) return `fewbit-bench: ${error.message}`;
  return `fewbit-bench: unexpected failure: ${error instanceof Error ? error.message : String(error)} (FEWBIT_DEBUG=1 shows where)`;
}
