import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const native = fileURLToPath(new URL('../native/', import.meta.url));
const compiler = 'x86_64-w64-mingw32-g++';

describe.skipIf(spawnSync(compiler, ['--version']).status !== 0)(`what asks the system (needs ${compiler})`, () => {
  it.each(['pool.cc', 'map-file.cc'])('%s compiles for Windows', (file) => {
    const { status, stderr } = spawnSync(compiler, ['-std=c++17', '-Wall', '-Wextra', '-Werror', '-fsyntax-only', file], {
      cwd: native,
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });
});
