import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));

/** What the scripts keep between runs; git ignores it. */
export const cache = join(root, '.cache');

/**
 * Runs a program in the repository's root. Resolves to its standard output where `output` is 'return', to '' where the terminal has it.
 * Rejects when the program cannot be started or does not end with 0.
 */
export function runCommand(program, args, { output = 'show', env = {} } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['inherit', output === 'return' ? 'pipe' : 'inherit', 'inherit'],
      shell: process.platform === 'win32' && program !== process.execPath, // npm is npm.cmd there
    });
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (piece) => {
      text += piece;
    });
    child.on('error', reject);
    child.on('close', (code, signal) =>
      code === 0 ? resolve(text) : reject(new Error(`${[program, ...args].join(' ')} ended with ${signal ?? code}`)),
    );
  });
}
