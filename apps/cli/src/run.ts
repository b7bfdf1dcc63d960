import { FewbitError } from '@fewbit/core';
import { Command, CommanderError } from 'commander';
import { addChat } from './commands/chat.js';
import { addConvert } from './commands/convert.js';
import { addDoctor } from './commands/doctor.js';
import { addEval } from './commands/eval.js';
import { addGenerate } from './commands/generate.js';
import { addImatrix } from './commands/imatrix.js';
import { addInspect } from './commands/inspect.js';
import { addQuantize } from './commands/quantize.js';
import type { Io } from './io.js';
import { positiveInteger } from './parse-option.js';
import { version } from './version.js';

/** Runs `fewbit <arguments>` and returns the exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const program = createProgram(io);
  try {
    await program.parseAsync(argv, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    io.stderr(`${message(error, program.opts().debug === true || process.env.FEWBIT_DEBUG !== undefined)}\n`);
    if (!FewbitError.is(error)) return 1;
    return { usage: 2, cancelled: 130 }[error.code as string] ?? 1;
  }
}

function createProgram(io: Io): Command {
  const program = new Command('fewbit')
    .description('Quantize large language models, measure what it cost, and run them.')
    .version(version)
    .option('--threads <n>', 'worker threads (default: all cores, or FEWBIT_THREADS)', positiveInteger)
    .option('--backend <name>', 'kernel backend: auto, cpu, wasm, reference (default: auto, or FEWBIT_BACKEND)')
    .option('--debug', 'show stack traces (or set FEWBIT_DEBUG)')
    .showHelpAfterError('(fewbit --help, or fewbit <command> --help, shows what there is)')
    .configureOutput({ writeOut: io.stdout, writeErr: io.stderr })
    .exitOverride();
  for (const add of [addQuantize, addConvert, addImatrix, addEval, addGenerate, addChat, addInspect, addDoctor]) add(program, io);
  for (const command of program.commands) command.copyInheritedSettings(program);
  return program;
}

function message(error: unknown, debug: boolean): string {
  if (debug && error instanceof Error) return error.stack ?? String(error);
  if (FewbitError.is(error)) return `fewbit: ${error.message}`;
  return `fewbit: unexpected failure: ${error instanceof Error ? error.message : String(error)} (--debug shows where; please report it)`;
}
