// node package-native.mjs <out folder> [--target linux-arm64]: makes the package of prebuilt kernels for one platform (by default this one) from the
// binary in native/build. Users get it as an optional dependency; nothing here publishes.

import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { target: { type: 'string' } } });
const [folder] = positionals;
const target = values.target ?? `${process.platform}-${process.arch}${isMusl() ? '-musl' : ''}`;
const [os, cpu, libc] = target.split('-');
const binary = fileURLToPath(new URL('native/build/Release/fewbit_cpu.node', import.meta.url));
if (!folder || !os || !cpu) throw new Error('usage: node package-native.mjs <out folder> [--target <os>-<cpu>[-musl]]');
if (!existsSync(binary)) throw new Error(`${binary} is missing: run 'npm run build:native' first`);

const { version, license, repository, engines } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));
const manifest = {
  name: `@fewbit/kernels-cpu-${target}`,
  version,
  description: `Native CPU kernels for Fewbit, built for ${target}.`,
  ...{ license, repository, engines },
  os: [os],
  cpu: [cpu],
  ...(os === 'linux' && { libc: [libc === 'musl' ? 'musl' : 'glibc'] }),
  files: ['fewbit_cpu.node'],
};
mkdirSync(folder, { recursive: true });
copyFileSync(binary, join(folder, 'fewbit_cpu.node'));
writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
console.log(`${manifest.name}@${version} → ${folder}`);

function isMusl() {
  return process.platform === 'linux' && !process.report.getReport().header.glibcVersionRuntime;
}
