// Compiles assembly/ to generated/fewbit.wasm and, with fused multiply-add, generated/fewbit-relaxed.wasm; does nothing when they are newer than their sources.
// Run by the package's build script, and before tests through a vitest globalSetup.

import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const builds = [
  { file: 'generated/fewbit.wasm', flags: [] },
  { file: 'generated/fewbit-relaxed.wasm', flags: ['--enable', 'relaxed-simd'] },
];
const options =
  '-O3 --noAssert --runtime stub --enable simd --enable threads --importMemory --sharedMemory --initialMemory 1 --memoryBase 4096 --maximumMemory 65536';

export default async function buildWasm() {
  const sources = [
    ...readdirSync(path('assembly')).map((file) => path(`assembly/${file}`)),
    path('src/control.ts'),
    path('build-wasm.mjs'),
  ];
  const newest = Math.max(...sources.map((file) => statSync(file).mtimeMs));
  if (builds.every(({ file }) => existsSync(path(file)) && statSync(path(file)).mtimeMs > newest)) return;
  mkdirSync(path('generated'), { recursive: true });
  const { main } = await import('assemblyscript/asc');
  for (const { file, flags } of builds) {
    const { error, stderr } = await main([path('assembly/index.ts'), '-o', path(file), ...options.split(' '), ...flags]);
    if (error) throw new Error(`${error.message}\n${stderr.toString()}`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildWasm();
