import { execFileSync, spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';

const native = fileURLToPath(new URL('../native/', import.meta.url));
const hasCompiler = spawnSync('g++', ['--version']).status === 0;

describe.skipIf(!hasCompiler)('the pool of threads (needs g++)', () => {
  const program = (name: string) => {
    const path = join(temporaryFolder(), name);
    execFileSync('g++', ['-O2', '-std=c++17', '-pthread', `${name}.cc`, 'pool.cc', '-o', path], { cwd: native });
    return path;
  };

  it('runs each task of each of many small jobs once', () => {
    const path = program('check-pool');
    for (const threads of [1, 2, 5]) expect(spawnSync(path, [String(threads)], { encoding: 'utf8' }).stdout, `${threads} threads`).toBe('');
  });

  it.skipIf(process.platform !== 'linux' || availableParallelism() < 2)('keeps its threads off the processor of the caller', () => {
    // without, 88 to 96 of 100 jobs began with both threads on one processor, where the other one was free
    expect(Number(execFileSync(program('check-places'), { encoding: 'utf8' }))).toBeLessThan(20);
  });
});
