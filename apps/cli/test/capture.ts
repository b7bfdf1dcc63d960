import { Readable } from 'node:stream';
import type { Io } from '../src/io.js';
import { run } from '../src/run.js';

export interface Captured {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program in this process and catches what it prints. */
export function fewbit(...argv: string[]): Promise<Captured> {
  return fewbitOn({}, ...argv);
}

/** The same with an input, or anything else of its surroundings, of the test's own; that hears what is printed, too. */
export async function fewbitOn(io: Partial<Io>, ...argv: string[]): Promise<Captured> {
  let stdout = '';
  let stderr = '';
  const code = await run(argv, {
    stdin: Readable.from([]),
    interactive: false,
    signal: new AbortController().signal,
    ...io,
    stdout: (text) => {
      stdout += text;
      io.stdout?.(text);
    },
    stderr: (text) => {
      stderr += text;
      io.stderr?.(text);
    },
  });
  return { code, stdout, stderr };
}

/** With --json; fails when the command does, or when stdout holds anything but one document. */
export async function fewbitJson<T = Record<string, never>>(...argv: string[]): Promise<T> {
  const { code, stdout, stderr } = await fewbit(...argv, '--json');
  if (code !== 0) throw new Error(`fewbit ${argv.join(' ')} ended with ${code}:\n${stderr}`);
  return JSON.parse(stdout) as T;
}
