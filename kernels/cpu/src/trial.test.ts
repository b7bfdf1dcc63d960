import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { addonVersion } from './addon.js';
import { commandIds } from './command-queue.js';
import { trial } from './trial.js';

const folder = mkdtempSync(join(tmpdir(), 'fewbit-trial-'));

/** A stand-in for the binary: what `require` of a path runs. */
function binary(name: string, program: string): string {
  const path = join(folder, `${name}.cjs`);
  writeFileSync(path, program);
  return path;
}

/** Multiplies by float32 and by codes, one after the other, as the two expressions say. */
const engine = (product: string, coded: string, version = addonVersion) => `
  const memories = [];
  exports.version = ${version};
  exports.instructionSets = () => ['plain'];
  exports.allocate = (bytes) => memories[memories.push(new ArrayBuffer(bytes)) - 1];
  exports.addressOf = (memory) => memories.indexOf(memory);
  exports.Engine = class {
    submit([command, ...operands]) {
      if (command === ${commandIds.packCodes}) return this.pack(...operands);
      const [x, w, out] = [operands[0], operands[1], operands[3]].map((address) => new Float32Array(memories[address]));
      const m = operands[4];
      const [k, n] = command === ${commandIds.matmul} ? operands.slice(5) : operands.slice(5).toReversed().slice(-2);
      const product = command === ${commandIds.matmul} ? (i, j, p) => ${product} : (i, j, p) => ${coded};
      for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) for (let p = 0; p < k; p++) out[i * n + j] += product(i, j, p);
    }
    packedBytes(rows, cols) { return rows * cols * 4; }
    pack(codes, scales, zeros, bases, steps, levels, packed, divisor, tileRows, rows, cols, group, bits, named, scaleType, stepInputs, origin, zero) {
      const [from, to] = [new Uint8Array(memories[codes]), new Float32Array(memories[packed])];
      for (let i = 0; i < from.length; i++) to[i] = from[i] - zero;
    }
    settle() {}
    close() {}
  };`;
const right = 'x[i * k + p] * w[j * k + p]';

it('says what is wrong with a binary that crashes, throws, hangs up or computes nonsense', async () => {
  expect(await trial(binary('crash', 'process.kill(process.pid, "SIGSEGV"); while (true);'))).toMatch(
    /^the binary .*crash\.cjs failed its trial: it ended by SIGSEGV: install it and @fewbit\/kernels-cpu again, both together, or build it again$/,
  );
  expect(await trial(binary('throw', 'throw new Error("no such symbol");'))).toMatch(/no such symbol/);
  expect(await trial(binary('hang', 'while (true);'), 0.5)).toMatch(/hang\.cjs did not end its trial within 0\.5 s: try again/);
  expect(await trial(binary('exit', 'process.exit(3);'))).toMatch(/exited with 3/);
  expect(await trial(binary('old', engine(right, right, addonVersion - 1)))).toMatch(
    new RegExp(`version ${addonVersion - 1} and the package needs ${addonVersion}: install it .* or build it again$`),
  );
  expect(await trial(binary('wrong', engine('x[i * k + p] * w[j * k]', right)))).toMatch(/plain: element \(0, 0\) of a product is/);
  expect(await trial(binary('wrong codes', engine(right, 'x[i * k + p] * w[j * k]')))).toMatch(/plain, inputs of 8 bits: element \(0, 0\)/);
});

it('passes one that computes, and tries it again only when it has changed', async () => {
  const path = binary('good', engine(right, right));
  expect(await trial(path)).toBeUndefined();
  const started = performance.now();
  expect(await trial(path)).toBeUndefined();
  expect(performance.now() - started).toBeLessThan(10);
  writeFileSync(path, 'process.exit(1); // now bad');
  expect(await trial(path)).toMatch(/exited with 1/);
});
