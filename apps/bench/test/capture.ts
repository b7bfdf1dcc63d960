import { run } from '../src/run.js';

/** Runs the program in this process and catches what it prints. */
export async function fewbitBench(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  let stdout = '';
  let stderr = '';
  const code = await run(argv, {
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    signal: new AbortController().signal,
  });
  return { code, stdout, stderr };
}

/** The same with --json; fails when the command does, or when stdout holds anything but one document. */
export async function fewbitBenchJson(...argv: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await fewbitBench(...argv, '--json');
  if (code !== 0) throw new Error(`fewbit-bench ${argv.join(' ')} ended with ${code}:\n${stderr}`);
  return JSON.parse(stdout);
}
