import { cpus } from 'node:os';
import { atOnce } from '@fewbit/core';
import type { Backend, DeviceTensor } from '@fewbit/kernels';
import { openBackend } from '@fewbit/presets';
import type { Machine } from './documents.js';
import { finisher } from './finisher.js';
import { randomCodes } from './synthetic-weights.js';
import { type Run, seconds } from './take-turns.js';

/** The limits of a machine as contestants of a benchmark, in GB/s and GFLOP/s. */
export interface Limits {
  readonly runs: { readonly readBandwidth: Run; readonly gemmPeak: Run };
  /** Of products of 8-bit codes by inputs of 8 bits, counted as if they were of floats; where the backend has them. */
  readonly integerPeak?: Run | undefined;
  /** The document's `machine`, from the medians of the runs. */
  machine(medians: { readonly readBandwidth: number; readonly gemmPeak: number; readonly integerPeak?: number }): Machine;
  close(): Promise<void>;
}

/**
 * Opens the fastest backend of this machine (whichever one is benchmarked) to measure with it.
 * `streamBytes`: how much memory to read; default 1.2 GB, more than caches hold.
 */
export async function openLimits({ threads, streamBytes = 1.2e9 }: { threads?: number; streamBytes?: number }): Promise<Limits> {
  const { backend } = await openBackend({ backend: 'auto', ...(threads && { threads }) });
  const stream = streamer(backend, Math.ceil(streamBytes / 4));
  const product = await squareProduct(backend, (size) => backend.upload(new Float32Array(size * size).fill(0.5), [size, size]));
  const integers =
    backend.weights?.activations.int8 === undefined ? undefined : await squareProduct(backend, (size) => squareCodes(backend, size));
  return {
    runs: { readBandwidth: stream.run, gemmPeak: product.run },
    integerPeak: integers?.run,
    machine: (medians) => ({
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      threads: backend.threads,
      ...medians,
      measuredBy: `${backend.id}: ${backend.description}${stream.note}`,
    }),
    async close() {
      stream.free();
      product.free();
      integers?.free();
      await backend.close();
    },
  };
}

/** Reads `words` float32 values, by the backend's own stream or, where it has none, by one thread of JavaScript. */
function streamer(backend: Backend, words: number): { run: Run; free(): void; note: string } {
  const data = new Float32Array(words).fill(1);
  const rate = (time: number) => (words * 4) / time / 1e9;
  if (!backend.stream) {
    const doubles = new Float64Array(data.buffer, 0, words >> 1);
    return {
      run: async () => rate(await seconds(() => sum(doubles))),
      free: () => undefined,
      note: '; memory read by one thread of JavaScript',
    };
  }
  const tensor = backend.upload(data, [words]);
  return { run: async () => rate(await seconds(() => backend.stream!(tensor))), free: () => backend.free(tensor), note: '' };
}

function sum(values: Float64Array): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  for (let i = 0; i + 3 < values.length; i += 4) {
    a += values[i]!;
    b += values[i + 1]!;
    c += values[i + 2]!;
    d += values[i + 3]!;
  }
  return a + b + c + d;
}

/** x·wᵀ of square matrices, w as `weight` makes it, as large as 2048 but no larger than takes about a twentieth of a second. */
async function squareProduct(backend: Backend, weight: (size: number) => DeviceTensor): Promise<{ run: Run; free(): void }> {
  const finishing = finisher(backend);
  for (let size = 128; ; size *= 2) {
    const [x, w] = [backend.upload(new Float32Array(size * size).fill(0.5), [size, size]), weight(size)];
    const multiply = () => {
      backend.step(() => void backend.ops.matmul(x, w));
      return finishing.finish();
    };
    const run = async () => (2 * size ** 3) / (await seconds(multiply)) / 1e9;
    const freeBoth = () => {
      for (const tensor of [x, w]) backend.free(tensor);
    };
    await run();
    const enough = (2 * size ** 3) / ((await run()) * 1e9) > 0.05;
    const free = () => {
      freeBoth();
      finishing.free();
    };
    if (enough || size === 2048) return { run, free };
    freeBoth();
  }
}

function squareCodes(backend: Backend, size: number): DeviceTensor {
  const spec = { kind: 'int', bits: 8, scheme: 'symmetric-full', granularity: { kind: 'channel' }, scaleType: 'F32' } as const;
  return atOnce(backend.weights!.upload(randomCodes(size, size, spec, 1), { activations: 'int8' }));
}
