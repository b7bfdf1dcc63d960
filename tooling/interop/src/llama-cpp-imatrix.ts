import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { llamaCppLibraries } from './llama-cpp-libraries.js';

/** An imatrix file as llama.cpp's loader has it: sums of squares of each weight's inputs, over counts. */
export interface LoadedImatrix {
  /** `chunks 4 size 256 legacy 0 metadata 1` */
  readonly header: string;
  readonly datasets: readonly string[];
  readonly entries: ReadonlyMap<string, { readonly counts: readonly number[]; readonly sums: readonly number[] }>;
}

/**
 * Builds, in `folder`, a program around the loader of llama-quantize in node-llama-cpp's libraries; it throws for files that llama.cpp refuses.
 * Undefined, with the reason told to `refuse`, where there is no such library or no compiler.
 */
export function imatrixLoader(folder: string, refuse: (reason: string) => void): ((path: string) => LoadedImatrix) | undefined {
  const libraries = llamaCppLibraries;
  const reason = !existsSync(join(libraries, 'libllama-common.so'))
    ? 'node-llama-cpp has no libllama-common.so for this platform'
    : spawnSync('g++', ['--version']).status !== 0
      ? 'there is no g++'
      : undefined;
  if (reason !== undefined) {
    refuse(reason);
    return undefined;
  }
  const program = join(folder, 'read-imatrix');
  const source = fileURLToPath(new URL('../read_imatrix.cc', import.meta.url));
  const link = [`-L${libraries}`, '-l:libllama-common.so', `-Wl,-rpath,${libraries}`, '-Wl,--allow-shlib-undefined'];
  execFileSync('g++', ['-std=c++17', source, '-o', program, ...link]);
  return (path) => parsed(execFileSync(program, [path], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 2 ** 28 }));
}

function parsed(output: string): LoadedImatrix {
  const [header, ...lines] = output.trim().split('\n') as [string, ...string[]];
  const datasets: string[] = [];
  const entries = new Map<string, { counts: number[]; sums: number[] }>();
  for (const line of lines) {
    const [kind, name, ...words] = line.split(' ') as [string, string, ...string[]];
    const sums = words.indexOf('sums');
    if (kind === 'dataset') datasets.push(line.slice('dataset '.length));
    else entries.set(name, { counts: words.slice(1, sums).map(Number), sums: words.slice(sums + 1).map(Number) });
  }
  return { header, datasets, entries };
}
