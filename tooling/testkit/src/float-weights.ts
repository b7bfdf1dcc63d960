import fc from 'fast-check';
import { expect, it } from 'vitest';
import { atOnce, fromFloat32, matrix, toFloat32 } from '../../../packages/core/src/index.js';
import type { Backend } from '../../../packages/kernels/src/index.js';
import { relativeError, sameBits } from './backend-contract.js';
import { opTolerances } from './tolerances.js';
import { values } from './values.js';
import type { NeedForms } from './weights-contract.js';

/** Weights of floats: in forms of a backend's own, and as a checkpoint has them. */
export function floatWeights(name: string, backends: () => readonly Backend[], needForms: NeedForms): void {
  const size = (max: number) => fc.integer({ min: 1, max });

  it('matmul and embed by floats in their shortest form, exactly as by float32', ({ skip }) => {
    needForms(skip);
    return fc.assert(
      fc.asyncProperty(
        fc.record({ m: fc.oneof(size(9), size(60)), cols: size(300), rows: size(70), short: fc.boolean(), seed: fc.nat(1000) }),
        async ({ m, cols, rows, short, seed }) => {
          const data = values(rows * cols, seed);
          const words = new Uint32Array(data.buffer);
          if (short) for (const [i, word] of words.entries()) words[i] = word & 0xffff0000;
          const x = values(m * cols, seed + 1);
          const tokens = Uint32Array.from({ length: m }, (_, i) => (i * 7 + seed) % rows);
          for (const backend of backends()) {
            const forms = [backend.upload(data, [rows, cols]), atOnce(backend.weights!.upload(matrix(rows, cols, data)))];
            const input = backend.upload(x, [m, cols]);
            const [plain, formed] = await Promise.all(
              forms.flatMap((w) => [backend.ops.matmul(input, w), backend.ops.embed(w, tokens)]).map((tensor) => backend.download(tensor)),
            ).then(
              ([a, b, c, d]) =>
                [
                  [a!, b!],
                  [c!, d!],
                ] as const,
            );
            expect(relativeError(formed[0], plain[0])).toBeLessThanOrEqual(opTolerances.matmul);
            expect(sameBits(formed[1], plain[1])).toBe(true);
          }
        },
      ),
      { numRuns: 30, seed: 1 },
    );
  });

  it('floats from the bytes of a checkpoint, copied or where they lie, exactly as the same floats uploaded', async ({ skip }) => {
    if (backends().some(({ weights }) => !weights?.uploadStored)) skip(`${name} takes no bytes of a checkpoint`);
    const [rows, cols] = [37, 53];
    const tokens = Uint32Array.from({ length: 40 }, (_, i) => (i * 11) % rows);
    for (const dtype of ['BF16', 'F32'] as const) {
      const stored = fromFloat32(values(rows * cols, 3), dtype, [rows, cols]);
      const width = stored.data.length / (rows * cols);
      for (const shift of [0, width, 1]) {
        const memory = new Uint8Array(stored.data.length + 8);
        memory.set(stored.data, shift);
        const weight = { ...stored, data: memory.subarray(shift, shift + stored.data.length) };
        for (const backend of backends()) {
          const before = backend.bytes;
          const plain = backend.upload(toFloat32(stored), [rows, cols]);
          for (const inPlace of [false, true]) {
            const held = atOnce(backend.weights!.uploadStored!(weight, { inPlace }));
            if (shift === 1) expect(held, 'bytes that are not aligned').toBeUndefined();
            if (!held) continue;
            expect(held.shape).toEqual([rows, cols]);
            for (const m of [1, 30]) {
              const x = backend.upload(values(m * cols, 4), [m, cols]);
              const products = [plain, held].map((w) => backend.ops.matmul(x, w));
              const [want, got] = await Promise.all(products.map((tensor) => backend.download(tensor)));
              expect(relativeError(got!, want!)).toBeLessThanOrEqual(opTolerances.matmul);
              for (const tensor of [x, ...products]) backend.free(tensor);
            }
            const found = [plain, held].map((table) => backend.ops.embed(table, tokens));
            backend.free(held); // before they have run
            const [want, got] = await Promise.all(found.map((tensor) => backend.download(tensor)));
            expect(sameBits(got!, want!)).toBe(true);
            for (const tensor of found) backend.free(tensor);
          }
          backend.free(plain);
          expect(backend.bytes).toBe(before);
        }
      }
    }
    expect(atOnce(backends()[0]!.weights!.uploadStored!(fromFloat32(new Float32Array(6), 'F16', [2, 3])))).toBeUndefined();
  });
}
