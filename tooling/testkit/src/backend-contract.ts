import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
// By path: kernels tests with the testkit, and a package dependency back would close a cycle.
import type { Activation, Backend, BackendProbe } from '../../../packages/kernels/src/index.js';
import { referenceBackend } from '../../../packages/kernels/src/index.js';
import type { Agrees } from './agrees.js';
import { algebraContract } from './algebra-contract.js';
import { attentionContract } from './attention-contract.js';
import { pageContract } from './page-contract.js';
import { recordingContract } from './recording-contract.js';
import { roundingContract } from './rounding-contract.js';
import { samplingContract } from './sampling-contract.js';
import { opTolerances } from './tolerances.js';
import { values } from './values.js';
import { weightsContract } from './weights-contract.js';

/** What every backend must do: the ops as the reference does them, memory by steps, the same bits for any number of threads. */
export function backendContract(name: string, probe: BackendProbe): void {
  describe(`${name}: the backend contract`, () => {
    const reference = referenceBackend();
    let backend: Backend;
    let single: Backend;
    beforeAll(async () => {
      [backend, single] = [await open(probe, 2), await open(probe, 1)];
    });
    afterAll(async () => {
      await backend.close();
      await single.close();
    });

    const agrees: Agrees = async (inputs, limit, op) => {
      const run = async (on: Backend) => {
        const tensors = inputs.map(([shape, data]) => on.upload(data, shape));
        const result = on.step(() => op(on, tensors));
        const got = { shape: result.shape, data: await on.download(result) };
        for (const tensor of new Set([result, ...tensors])) on.free(tensor);
        return got;
      };
      const [want, got, alone] = [await run(reference), await run(backend), await run(single)];
      expect(got.shape).toEqual(want.shape);
      if (limit === 0) expect(sameBits(got.data, want.data)).toBe(true);
      else expect(relativeError(got.data, want.data)).toBeLessThanOrEqual(limit);
      expect(sameBits(got.data, alone.data)).toBe(true);
    };
    const property = <T>(arbitrary: fc.Arbitrary<T>, holds: (value: T) => Promise<void>, runs = 20) =>
      fc.assert(fc.asyncProperty(arbitrary, holds), { numRuns: runs, seed: 1 });
    const size = (max: number) => fc.integer({ min: 1, max });
    const seed = fc.nat(1000);

    it('matmul, with and without bias, over ragged shapes', () => {
      const rows = fc.oneof(size(9), fc.integer({ min: 10, max: 140 }));
      return property(
        fc.record({ m: rows, k: size(700), n: size(150), bias: fc.boolean(), seed }),
        ({ m, k, n, bias, seed }) =>
          agrees(
            [
              [[m, k], values(m * k, seed)],
              [[n, k], values(n * k, seed + 1)],
              [[n], values(n, seed + 2)],
            ],
            opTolerances.matmul,
            (on, [x, w, b]) => on.ops.matmul(x!, w!, bias ? b : undefined),
          ),
        40,
      );
    });

    it('large operands give the same bits on one thread and on two', async ({ skip }) => {
      const [m, k, n] = [300, 520, 640];
      const run = async (on: Backend) => {
        const [x, w] = [on.upload(values(m * k, 1), [m, k]), on.upload(values(n * k, 2), [n, k])];
        const product = on.step(() => {
          const y = on.ops.matmul(x, w);
          const attended = on.ops.attention(y, [y], [y], { heads: 10, keyValueHeads: 10, headSize: 64, scale: 0.01, start: 0 });
          return on.ops.rmsNorm(on.ops.gated(attended, y, 'silu'), on.upload(values(n, 3), [n]), 1e-5, 0);
        });
        return on.download(product);
      };
      skip(single.threads === backend.threads, 'this backend has one thread');
      const want = await run(single);
      for (let i = 0; i < 3; i++) expect(sameBits(await run(backend), want)).toBe(true);
    });

    attentionContract(agrees, () => [reference, backend, single]);

    it('rotate, whole heads and part of them', () =>
      property(
        fc.record({ m: size(40), heads: size(4), half: size(20), rest: fc.nat(7), start: fc.nat(5000), seed }),
        ({ m, heads, half, rest, start, seed }) => {
          const headSize = 2 * half + rest;
          const frequencies = Float32Array.from({ length: half }, (_, i) => 10000 ** (-i / half));
          return agrees([[[m, heads * headSize], values(m * heads * headSize, seed)]], opTolerances.rotate, (on, [x]) =>
            on.ops.rotate(x!, headSize, { frequencies, amplitude: 1.25 }, start),
          );
        },
      ));

    it('rmsNorm over rows and over heads, layerNorm', () =>
      property(fc.record({ m: size(40), parts: size(3), n: size(300), seed }), async ({ m, parts, n, seed }) => {
        const inputs: [number[], Float32Array][] = [
          [[m, parts * n], values(m * parts * n, seed, 5)],
          [[n], values(n, seed + 1)],
          [[n], values(n, seed + 2)],
        ];
        await agrees(inputs, opTolerances.norm, (on, [x, gain]) => on.ops.rmsNorm(x!, gain!, 1e-5, 1));
        await agrees(inputs, opTolerances.norm, (on, [x, gain, bias]) => on.ops.layerNorm(x!, gain!, bias!, 1e-2));
      }));

    it('elementwise: add, a row added, scale, softcap, gated, activate', () =>
      property(
        fc.record({
          m: size(60),
          n: size(500),
          activation: fc.constantFrom<Activation>('silu', 'gelu', 'gelu-tanh', 'relu'),
          seed,
        }),
        async ({ m, n, activation, seed }) => {
          const inputs: [number[], Float32Array][] = [
            [[m, n], values(m * n, seed, 4)],
            [[m, n], values(m * n, seed + 1)],
            [[n], values(n, seed + 2)],
          ];
          await agrees(inputs, opTolerances.elementwise, (on, [a, b]) => on.ops.add(a!, b!));
          await agrees(inputs, opTolerances.elementwise, (on, [a, , row]) => on.ops.add(a!, row!));
          await agrees(inputs, opTolerances.elementwise, (on, [a]) => on.ops.scale(a!, -0.3));
          await agrees(inputs, opTolerances.elementwise, (on, [a]) => on.ops.softcap(a!, 2.5));
          await agrees(inputs, opTolerances.elementwise, (on, [a]) => on.ops.activate(a!, activation));
          await agrees(inputs, opTolerances.elementwise, (on, [a, b]) => on.ops.gated(a!, b!, activation));
        },
      ));

    it('functions of extreme values saturate as they should', async () => {
      const data = Float32Array.of(-1e30, -200, -90, -20, -0.001, 0, 1e-8, 0.5, 20, 90, 200, 1e30);
      for (const activation of ['silu', 'gelu', 'gelu-tanh', 'relu'] as const) {
        await agrees([[[1, data.length], data]], opTolerances.elementwise, (on, [x]) => on.ops.activate(x!, activation));
      }
      const damaged = Float32Array.of(...data, Number.NaN);
      await agrees([[[1, damaged.length], damaged]], opTolerances.elementwise, (on, [x]) => on.ops.softcap(x!, 30));
    });

    it('copies: embed, columns, rows, store', () =>
      property(fc.record({ m: size(30), n: size(70), start: fc.nat(20), count: size(10), seed }), async ({ m, n, start, count, seed }) => {
        const table: [number[], Float32Array] = [[m, n], values(m * n, seed)];
        const tokens = Uint32Array.from(values(count, seed), (x) => Math.floor(Math.abs(x) * 1000) % m);
        await agrees([table], opTolerances.copy, (on, [x]) => on.ops.embed(x!, tokens));
        await agrees([table], opTolerances.copy, (on, [x]) => on.ops.columns(x!, start % n, n - (start % n)));
        await agrees([table], opTolerances.copy, (on, [x]) => on.ops.rows(x!, start % m, m - (start % m)));
        await agrees([table, [[m + start, n], values((m + start) * n, seed + 1)]], opTolerances.copy, (on, [rows, cache]) => {
          on.ops.store(cache!, rows!, start);
          return cache!;
        });
      }));

    roundingContract(agrees);

    it('crossEntropy', () =>
      property(fc.record({ m: size(20), n: size(3000), spread: fc.constantFrom(1, 30), seed }), ({ m, n, spread, seed }) => {
        const targets = Uint32Array.from(values(m, seed), (x) => Math.floor(Math.abs(x) * 1e6) % n);
        return agrees([[[m, n], values(m * n, seed, spread)]], opTolerances.crossEntropy, (on, [logits]) =>
          on.ops.crossEntropy(logits!, targets),
        );
      }));

    samplingContract(agrees);

    it('stream: the exclusive or of all words', async ({ skip }) => {
      if (!backend.stream) skip(`${name} has no stream`);
      // one task's worth, a few, and ragged ends
      for (const count of [1, 17, 262_144, 600_001]) {
        const data = values(count, count);
        const want = new Int32Array(data.buffer).reduce((word, next) => word ^ next, 0);
        for (const on of [backend, single]) {
          const tensor = on.upload(data, [count]);
          expect(on.stream?.(tensor)).toBe(want);
          on.free(tensor);
        }
      }
    });

    it('an empty tensor holds what is stored in it, until it is freed', async () => {
      const before = backend.bytes;
      const tensor = backend.step(() => backend.empty([3, 4]));
      expect(backend.bytes).toBe(before + 12 * 4);
      const rows = backend.upload(values(12, 1), [3, 4]);
      backend.ops.store(tensor, rows, 0);
      expect(await backend.download(tensor)).toEqual(values(12, 1));
      for (const each of [tensor, rows]) backend.free(each);
      expect(backend.bytes).toBe(before);
    });

    it('frees what a step made, but for what it returns', () => {
      const before = backend.bytes;
      const x = backend.upload(values(64, 1), [8, 8]);
      const held = backend.bytes;
      const outer = backend.step(() => {
        const kept = backend.step(() => {
          backend.ops.scale(x, 2);
          return { list: [backend.ops.scale(x, 3)], note: 'not a tensor', nothing: undefined };
        });
        expect(backend.bytes).toBe(held + 64 * 4);
        return backend.ops.add(kept.list[0]!, x);
      });
      expect(backend.bytes).toBe(held + 64 * 4);
      expect(() => backend.step(() => backend.ops.scale(outer, Number.NaN) && fail())).toThrow('on purpose');
      const uploaded = backend.step(() => [backend.upload(values(4, 2), [4])].length);
      expect(backend.bytes).toBe(held + 64 * 4 + uploaded * 4 * 4);
      backend.free(outer);
      expect(() => backend.ops.scale(outer, 2)).toThrow(/freed/);
      expect(() => backend.free(outer)).toThrow(/freed/);
      backend.free(x);
      expect(backend.bytes).toBe(before + uploaded * 4 * 4);
    });

    it('names who serves each op, and refuses operands that do not fit', () => {
      const named = Object.keys({ ...backend.ops, ...backend.algebra });
      expect(Object.keys(backend.chosen).sort()).toEqual(named.sort());
      const x = backend.upload(values(6, 1), [2, 3]);
      const w = backend.upload(values(8, 1), [2, 4]);
      expect(() => backend.ops.matmul(x, w)).toThrow(/inner size/);
      expect(() => backend.ops.embed(x, Uint32Array.of(2))).toThrow(/token 2/);
      expect(() => backend.ops.columns(x, 2, 2)).toThrow(/outside/);
      expect(() => backend.upload(values(6, 1), [7])).toThrow(/6 values/);
      backend.free(x);
      backend.free(w);
    });

    algebraContract(() => [backend, single]);
    weightsContract(name, () => [backend, single]);
    pageContract(() => [backend, single]);
    recordingContract(() => [backend, single]);
  });
}

async function open(probe: BackendProbe, threads: number): Promise<Backend> {
  const result = await probe({ threads });
  if ('unavailable' in result) throw new Error(result.unavailable);
  return result;
}

function fail(): never {
  throw new Error('on purpose');
}

/** ‖got − want‖ / ‖want‖ but for what is NaN in both; Infinity where one is NaN and the other is not. */
export function relativeError(got: ArrayLike<number>, want: ArrayLike<number>): number {
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < want.length; i++) {
    if (Object.is(got[i], want[i])) continue;
    if (Number.isNaN(got[i]) !== Number.isNaN(want[i])) return Number.POSITIVE_INFINITY;
    difference += (got[i]! - want[i]!) ** 2;
  }
  for (let i = 0; i < want.length; i++) norm += Number.isNaN(want[i]) ? 0 : want[i]! ** 2;
  return difference === 0 ? 0 : Math.sqrt(difference / norm);
}

export function sameBits(a: Float32Array | Float64Array, b: Float32Array | Float64Array): boolean {
  return Buffer.compare(Buffer.from(a.buffer, a.byteOffset, a.byteLength), Buffer.from(b.buffer, b.byteOffset, b.byteLength)) === 0;
}
