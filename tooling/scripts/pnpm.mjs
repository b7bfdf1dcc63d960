import { readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { cache, root, runCommand } from './run-command.mjs';

const folder = join(cache, 'pnpm');
const [, version] = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).packageManager.split('@');

/** The pinned pnpm, in the repository's cache; PATH leads there for the programs that it runs (turbo wants a pnpm). */
export function pnpm(...args) {
  const path = Object.keys(process.env).find((name) => name.toUpperCase() === 'PATH') ?? 'PATH';
  return runCommand(process.execPath, [join(folder, 'node_modules/pnpm/bin/pnpm.cjs'), ...args], {
    env: {
      [path]: [join(folder, 'node_modules/.bin'), process.env[path]].join(delimiter),
      TURBO_TELEMETRY_DISABLED: '1',
    },
  });
}

/** Gets it from npm, if it is not there in the pinned version. */
export async function installPnpm() {
  if (installed() === version) return;
  const quiet = ['--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error'];
  await runCommand('npm', ['install', '--prefix', folder, ...quiet, `pnpm@${version}`]);
}

function installed() {
  try {
    return JSON.parse(readFileSync(join(folder, 'node_modules/pnpm/package.json'), 'utf8')).version;
  } catch {
    return undefined;
  }
}
