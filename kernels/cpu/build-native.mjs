// Compiles native/ to native/build/Release/fewbit_cpu.node; does nothing when that is newer than its sources. Needs a C++17 compiler, make and Python.
// The binary is looked for there by src/find-addon.ts. Never run at install.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const native = fileURLToPath(new URL('native/', import.meta.url));
const binary = join(native, 'build/Release/fewbit_cpu.node');

if (outdated()) {
  const missing = ['node-gyp', 'node-addon-api'].filter((name) => !resolved(`${name}/package.json`));
  if (missing.length > 0) {
    console.error(`To compile the native kernels, install ${missing.join(' and ')} first: npm install ${missing.join(' ')}`);
    process.exitCode = 1;
  } else {
    const command = [resolved('node-gyp/bin/node-gyp.js'), 'rebuild', '--directory', native, '--jobs', 'max', ...headers()];
    const { status } = spawnSync(process.execPath, command, { stdio: 'inherit' });
    process.exitCode = status ?? 1;
  }
}

function resolved(path) {
  try {
    return createRequire(import.meta.url).resolve(path);
  } catch {
    return undefined;
  }
}

function outdated() {
  if (!existsSync(binary)) return true;
  const sources = readdirSync(native, { withFileTypes: true }).filter((entry) => entry.isFile());
  return sources.some(({ name }) => statSync(join(native, name)).mtimeMs > statSync(binary).mtimeMs);
}

/** The headers that came with this Node.js, where they did; otherwise node-gyp downloads them. */
function headers() {
  const home = dirname(dirname(process.execPath));
  return existsSync(join(home, 'include/node/node_api.h')) ? ['--nodedir', home] : [];
}
