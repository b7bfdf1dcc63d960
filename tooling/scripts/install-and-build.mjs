import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { installPnpm, pnpm } from './pnpm.mjs';
import { root } from './run-command.mjs';

/** Everything that a checkout needs before it runs. Takes Node, npm and the npm registry; takes seconds when nothing changed. */
export async function installAndBuild() {
  requireNode();
  await installPnpm();
  await pnpm('install', '--frozen-lockfile', '--prefer-offline', '--config.confirmModulesPurge=false');
  await pnpm('exec', 'turbo', 'run', 'build', '--output-logs=errors-only');
  for (const name of nativePackages()) await buildNative(name);
}

function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) throw new Error(`Node ${process.version} is too old: Fewbit needs 20.19 or newer.`);
}

/** Packages in kernels/ that a C++ compiler can make faster: those with a script `build:native`. */
function nativePackages() {
  return readdirSync(join(root, 'kernels'))
    .map((folder) => JSON.parse(readFileSync(join(root, 'kernels', folder, 'package.json'), 'utf8')))
    .filter(({ scripts }) => scripts?.['build:native'])
    .map(({ name }) => name);
}

/** Nothing depends on native code, so that its absence is said and no failure. */
async function buildNative(name) {
  if (!compiler())
    return console.log(`${name} is not built: no C++ compiler was found (CXX, c++, g++, clang++). Slower kernels take its place.`);
  try {
    await pnpm('--filter', name, 'run', 'build:native');
  } catch (error) {
    console.log(`${name} is not built: ${error.message}. Slower kernels take its place.`);
  }
}

function compiler() {
  const candidates = [process.env.CXX, 'c++', 'g++', 'clang++', 'cl'].filter(Boolean);
  return candidates.find((name) => !spawnSync(name, ['--version'], { stdio: 'ignore' }).error);
}
