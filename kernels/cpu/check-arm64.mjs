// Compiles the NEON and the portable kernels for arm64 and compares them (native/check.cc) under an emulator.
// Needs aarch64-linux-gnu-g++ and qemu-aarch64-static (Debian: g++-aarch64-linux-gnu, qemu-user-static).

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const native = fileURLToPath(new URL('native/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'fewbit-arm64-'));
/** Source, object, and what FEWBIT_ISA is (native/instruction-set.h). */
const units = [
  ['kernels.cc', 'portable.o', '-DFEWBIT_ISA=0'],
  ['kernels.cc', 'neon.o', '-DFEWBIT_ISA=3'],
  ['pool.cc', 'pool.o'],
  ['check.cc', 'check.o'],
];

try {
  const run = (program, ...words) => execFileSync(program, words, { cwd: native, stdio: 'inherit' });
  const objects = units.map(([source, object, ...flags]) => {
    run('aarch64-linux-gnu-g++', '-O2', '-std=c++17', ...flags, '-c', source, '-o', join(folder, object));
    return join(folder, object);
  });
  const program = join(folder, 'check');
  run('aarch64-linux-gnu-g++', '-static', ...objects, '-o', program, '-lpthread');
  run('qemu-aarch64-static', program);
} finally {
  rmSync(folder, { recursive: true });
}
