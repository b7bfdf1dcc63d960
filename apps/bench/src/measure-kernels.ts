import type { FormatSpec } from '@fewbit/formats';
import type { ActivationPrecision, Backend } from '@fewbit/kernels';
import type { ModelPlan } from '@fewbit/models';
import type { KernelRow, KernelsDocument } from './documents.js';
import { type Finisher, finisher } from './finisher.js';
import { formatFamily, formatLabel, groupOf } from './format-label.js';
import { algebraCases, type KernelCase, opCases } from './kernel-cases.js';
import { loadMatmuls, type MatmulCase } from './matmul-cases.js';
import { openLimits } from './measure-limits.js';
import type { MatmulPeer, MatmulPeerProbe } from './peers/types.js';
import { median, type Run, seconds, takeTurns } from './take-turns.js';

export interface KernelsBenchmark {
  readonly backend: Backend;
  /** Whose shapes to take. */
  readonly plan: ModelPlan;
  /** Formats of weights beside float32. */
  readonly specs: readonly FormatSpec[];
  /** What products with codes round their inputs to. */
  readonly activations: ActivationPrecision | 'f32';
  /** Tokens of a prompt. */
  readonly prompt: number;
  readonly rounds: number;
  readonly peer?: MatmulPeerProbe | undefined;
  /** Memory to read for the bandwidth; products with one token go through a quarter of it. Default 1.2 GB. */
  readonly streamBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (message: string) => void;
}

/** Each kernel beside the limit that holds for it and, for products with weights, beside a peer, all in turns. */
export async function measureKernels(benchmark: KernelsBenchmark): Promise<KernelsDocument> {
  const { backend, plan, specs, activations, prompt, rounds, streamBytes = 1.2e9, onProgress = () => undefined } = benchmark;
  const limits = await openLimits({ threads: backend.threads, streamBytes });
  const finishing = finisher(backend);
  const measured: Measured[] = [];
  const notes = new Set<string>();
  const measure = async (made: KernelCase, format?: string, peer?: MatmulPeer) => {
    onProgress([made.op, made.shape, format].filter(Boolean).join(' '));
    try {
      measured.push(await measureCase(made, format, peer, limits.runs, finishing, benchmark));
    } finally {
      made.free();
      await peer?.close();
    }
  };
  try {
    for (const spec of [undefined, ...specs]) {
      const loaded = await loadMatmuls(backend, plan, spec, { m: prompt, bytes: streamBytes / 4, activations });
      try {
        if (spec && !loaded.kept) notes.add(`${backend.id} has no product with ${formatLabel(spec)} weights: it decodes them to float32.`);
        else for (const make of loaded.cases) await measure(...(await withPeer(make(), spec, benchmark, notes)));
      } finally {
        loaded.free();
      }
    }
    for (const make of [...opCases(backend, plan, prompt), ...algebraCases(backend, plan, prompt)]) await measure(make());
    const machine = limits.machine({
      readBandwidth: median(measured.map(({ readBandwidth }) => readBandwidth)),
      gemmPeak: median(measured.map(({ gemmPeak }) => gemmPeak)),
    });
    return { machine, rounds, rows: measured.map(({ row }) => row), notes: [...notes] };
  } finally {
    finishing.free();
    await limits.close();
  }
}

interface Measured {
  readonly row: KernelRow;
  readonly readBandwidth: number;
  readonly gemmPeak: number;
}

async function measureCase(
  { op, shape, unit, work, run, ...rest }: KernelCase & Partial<MatmulCase>,
  format: string | undefined,
  peer: MatmulPeer | undefined,
  limits: Awaited<ReturnType<typeof openLimits>>['runs'],
  { finish }: Finisher,
  { backend, rounds, signal }: KernelsBenchmark,
): Promise<Measured> {
  const runs = { ...limits, own: await timed(run, finish), ...(peer && { peer: await timed(peer.run) }) };
  const medians = await takeTurns<keyof typeof limits | 'own' | 'peer'>(runs, { rounds, signal });
  const copies = rest.copies ?? 1;
  const milliseconds = (1000 * medians.own) / copies;
  const rate = work / medians.own / 1e9;
  return {
    ...medians,
    row: {
      op,
      shape,
      ...(format && { format }),
      ...(rest.activations && { activations: rest.activations }),
      backend: backend.id,
      kernel: backend.chosen[op]!,
      milliseconds,
      rate,
      unit,
      fractionOfLimit: rate / (unit === 'GB/s' ? medians.readBandwidth : medians.gemmPeak),
      ...(peer && {
        peer: { name: peer.name, type: peer.type, milliseconds: (1000 * medians.peer) / copies },
        ratio: medians.peer / medians.own,
      }),
    },
  };
}

/** A case with its format and a peer of the same product, where there is one. */
async function withPeer(
  made: MatmulCase,
  spec: FormatSpec | undefined,
  { backend, peer: probe }: KernelsBenchmark,
  notes: Set<string>,
): Promise<[MatmulCase, string, MatmulPeer | undefined]> {
  const format = formatLabel(spec);
  if (!probe) return [made, format, undefined];
  const { m, linear, copies } = made;
  const peer = await probe({
    ...{ m, k: linear.cols, n: linear.rows, copies, threads: backend.threads },
    format: spec ? formatFamily(spec) : 'f32',
    group: spec ? groupOf(spec) : null,
  });
  if (!('unavailable' in peer)) return [made, format, peer];
  notes.add(`No peer for ${format}: ${peer.unavailable}.`);
  return [made, format, undefined];
}

/** Seconds of one run, over as many as take 5 ms or more; `finish` waits for what a run only wrote down. */
async function timed(run: () => unknown, finish: () => unknown = () => undefined): Promise<Run> {
  const repeated = (times: number) =>
    seconds(async () => {
      for (let i = 0; i < times; i++) await run();
      await finish();
    });
  await repeated(1);
  const times = Math.max(1, Math.ceil(0.005 / (await repeated(1))));
  return async () => (await repeated(times)) / times;
}
