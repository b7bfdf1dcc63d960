import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';

const native = fileURLToPath(new URL('../native/', import.meta.url));
const hasCompiler = spawnSync('g++', ['--version']).status === 0;

describe.skipIf(!hasCompiler)('the pool of threads (needs g++)', () => {
  const program = () => {
    const path = join(temporaryFolder(), 'check-pool');
    execFileSync('g++', ['-O2', '-std=c++17', '-pthread', 'check-pool.cc', 'pool.cc', '-o', path], { cwd: native });
    return path;
  };

  it('runs each task of each of many small jobs once', () => {
    const path = program();
    for (const threads of [1, 2, 5]) expect(spawnSync(path, [String(threads)], { encoding: 'utf8' }).stdout, `${threads} threads`).toBe('');
  });
});
