import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { addonVersion, originIds, scaleTypeIds } from './addon.js';
import { commandIds } from './command-queue.js';

/**
 * Loads the binary and multiplies small whole numbers with every set of kernels: by float32, which holds them exactly, and by codes of 4 bits with inputs
 * of 8 and of 16 bits, for which sets have instructions of their own. Runs as text in a process of its own.
 */
const program = `
const { Engine, instructionSets, allocate, addressOf, version = 1 } = require(process.argv[1]);
if (version !== ${addonVersion}) throw new Error('it is of version ' + version + ' and the package needs ${addonVersion}');
const filled = (count, value) => {
  const array = new Float32Array(allocate(count * 4));
  for (let i = 0; i < count; i++) array[i] = value(i);
  return array;
};
function compare(name, out, m, k, n, x, w, tolerance) {
  for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) {
    let want = 0;
    for (let p = 0; p < k; p++) want += x[i * k + p] * w[j * k + p];
    if (!(Math.abs(out[i * n + j] - want) <= tolerance)) throw new Error(name + ': element (' + i + ', ' + j + ') of a product is ' + out[i * n + j] + ', not ' + want);
  }
}
function run(engine, command, arrays, numbers) {
  const list = [command, ...arrays.map((array) => (array ? addressOf(array.buffer) : 0)), ...numbers.map(Number)];
  engine.submit(Float64Array.from(list), list.length);
  engine.settle();
}
function floats(engine, name) {
  const [m, k, n] = [21, 19, 131];
  const [x, w, out] = [filled(m * k, (i) => (i % 13) - 6), filled(n * k, (i) => (i % 11) - 5), filled(m * n, () => 0)];
  run(engine, ${commandIds.matmul}, [x, w, undefined, out], [m, k, n]);
  compare(name, out, m, k, n, x, w, 0);
}
function codes(engine, name, m, activationBits) {
  const [k, n, group, zero] = [64, 37, 32, 8];
  const limit = 2 ** (activationBits - 1) - 1;
  // the largest of each group takes the largest code, so that the others are rounded to themselves
  const x = filled(m * k, (i) => (i % group === 5 ? limit : (i % 13) - 6));
  const held = new Uint8Array(allocate(n * k));
  for (let i = 0; i < held.length; i++) held[i] = (i * 7) % 16;
  const shape = [n, k, group, 4, false, ${scaleTypeIds.F32}, 0, ${originIds.zero}, zero, activationBits];
  const packed = filled(engine.packedBytes(...shape) / 4, () => 0);
  run(engine, ${commandIds.packCodes}, [held, filled((n * k) / group, () => 1), undefined, undefined, undefined, undefined, packed], [1, 1, ...shape]);
  const out = filled(m * n, () => 0);
  run(engine, ${commandIds.matmulQuantized}, [x, packed, undefined, out], [m, ...shape]);
  compare(name + ', inputs of ' + activationBits + ' bits', out, m, k, n, x, Array.from(held, (code) => code - zero), limit / 1e4);
}
for (const name of instructionSets()) {
  const engine = new Engine(2, name);
  floats(engine, name);
  for (const m of [1, 21]) for (const bits of [8, 16]) codes(engine, name, m, bits);
  engine.close();
}
`;

/**
 * Tries the binary in a child process, so that a bad one cannot take this process down; returns what went wrong. That it works is remembered
 * in a file for this binary, Node.js and processor.
 */
export async function trial(path: string, seconds = 20): Promise<string | undefined> {
  const passed = passedFile(path);
  if (existsSync(passed)) return undefined;
  const failure = await runTrial(path, seconds);
  if (failure === undefined) remember(passed);
  return failure;
}

function runTrial(path: string, seconds: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['-e', program, path], { timeout: 1000 * seconds, env: {} }, (error, _stdout, stderr) => {
      if (!error) return resolve(undefined);
      if (error.killed)
        return resolve(`the binary ${path} did not end its trial within ${seconds} s: try again when the machine is less busy`);
      const ending = error.signal
        ? `it ended by ${error.signal}`
        : (stderr.match(/^\w*Error: .*$/m)?.[0] ?? `it exited with ${error.code}`);
      resolve(`the binary ${path} failed its trial: ${ending}: install it and @fewbit/kernels-cpu again, both together, or build it again`);
    });
  });
}

function passedFile(path: string): string {
  const { mtimeMs, size } = statSync(path);
  const key = JSON.stringify([path, mtimeMs, size, process.version, process.arch, cpus()[0]?.model, program]);
  const user = userInfo().uid;
  return join(tmpdir(), `fewbit-kernels-cpu-${user}-${createHash('sha256').update(key).digest('hex').slice(0, 24)}`);
}

/** A folder that cannot be written only means a trial at each start. */
function remember(passed: string): void {
  try {
    writeFileSync(passed, '');
  } catch {}
}
