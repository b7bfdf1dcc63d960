import type { FormatSpec } from '@fewbit/formats';
import type { ActivationPrecision, Backend } from '@fewbit/kernels';
import type { ModelPlan } from '@fewbit/models';
import type { KernelRow, KernelsDocument } from './documents.js';
import { type Finisher, finisher } from './finisher.js';
import { formatFamily, formatLabel, groupOf } from './format-label.js';
import { outliersLabel } from './keep-outliers.js';
import { algebraCases, type KernelCase, opCases } from './kernel-cases.js';
import { type HeldIn, loadMatmuls, type MatmulCase, uploadCase } from './matmul-cases.js';
import { type Limits, openLimits } from './measure-limits.js';
import { pageCases } from './page-cases.js';
import type { MatmulPeer, MatmulPeerProbe } from './peers/types.js';
import { median, type Run, seconds, takeTurns } from './take-turns.js';

export interface KernelsBenchmark {
  readonly backend: Backend;
  /** Whose shapes to take. */
  readonly plan: ModelPlan;
  /** Formats of weights beside float32. */
  readonly specs: readonly FormatSpec[];
  /** Shares of weights that are kept beside the codes; each format has rows for each. */
  readonly outliers: readonly number[];
  /** What products with codes round their inputs to. */
  readonly activations: ActivationPrecision | 'f32';
  /** Tokens of a prompt. */
  readonly prompt: number;
  readonly rounds: number;
  readonly peer?: MatmulPeerProbe | undefined;
  /** Memory to read for the bandwidth; products with one token go through a quarter of it, attention of one token through an eighth. Default 1.2 GB. */
  readonly streamBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (message: string) => void;
}

/** Each kernel beside the limit that holds for it and, for products with weights, beside a peer, all in turns. */
export async function measureKernels(benchmark: KernelsBenchmark): Promise<KernelsDocument> {
  const { backend, plan, specs, outliers, activations, prompt, rounds, streamBytes = 1.2e9, onProgress = () => undefined } = benchmark;
  const limits = await openLimits({ threads: backend.threads, streamBytes });
  const finishing = finisher(backend);
  const measured: Measured[] = [];
  const notes = new Set<string>();
  const measure = async (made: KernelCase, format?: string, peer?: MatmulPeer) => {
    onProgress([made.op, made.shape, format].filter(Boolean).join(' '));
    try {
      measured.push(await measureCase(made, format, peer, limits, finishing, benchmark));
    } finally {
      made.free();
      await peer?.close();
    }
  };
  try {
    const formats = specs.flatMap((spec) => outliers.map((share): HeldIn => ({ spec, outliers: share })));
    for (const held of [undefined, ...formats]) {
      const loaded = await loadMatmuls(backend, plan, held, { m: prompt, bytes: streamBytes / 4, activations });
      try {
        if (held && !loaded.kept) notes.add(`${backend.id} has no product with ${labelOf(held)} weights: it decodes them to float32.`);
        else for (const make of loaded.cases) await measure(...(await withPeer(make(), held, benchmark, notes)));
        const packing = held && (await uploadCase(backend, plan, held));
        if (packing) await measure(packing, labelOf(held));
      } finally {
        loaded.free();
      }
    }
    const others = [
      ...opCases(backend, plan, prompt),
      ...pageCases(backend, plan, prompt, streamBytes / 8),
      ...algebraCases(backend, plan, prompt),
    ];
    for (const make of others) await measure(make());
    const integerPeaks = measured.flatMap(({ integerPeak = [] }) => integerPeak);
    const machine = limits.machine({
      readBandwidth: median(measured.map(({ readBandwidth }) => readBandwidth)),
      gemmPeak: median(measured.map(({ gemmPeak }) => gemmPeak)),
      ...(integerPeaks.length > 0 && { integerPeak: median(integerPeaks) }),
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
  /** Where it is the row's limit. */
  readonly integerPeak?: number;
}

async function measureCase(
  { op, shape, unit, work, run, ...rest }: KernelCase & Partial<MatmulCase>,
  format: string | undefined,
  peer: MatmulPeer | undefined,
  limits: Limits,
  { finish }: Finisher,
  { backend, rounds, signal }: KernelsBenchmark,
): Promise<Measured> {
  const integers = unit === 'GFLOP/s' && (rest.activations ?? 'f32') !== 'f32' ? limits.integerPeak : undefined;
  const limit = unit === 'GB/s' ? 'readBandwidth' : integers ? 'integerPeak' : 'gemmPeak';
  const runs = {
    ...limits.runs,
    ...(integers && { integerPeak: integers }),
    own: await timed(run, finish),
    ...(peer && { peer: await timed(peer.run) }),
  };
  const medians = await takeTurns<keyof Limits['runs'] | 'integerPeak' | 'own' | 'peer'>(runs, { rounds, signal });
  const copies = rest.copies ?? 1;
  const milliseconds = (1000 * medians.own) / copies;
  const rate = work / medians.own / 1e9;
  const label = format ?? rest.format;
  return {
    ...medians,
    row: {
      op,
      shape,
      ...(label && { format: label }),
      ...(rest.activations && { activations: rest.activations }),
      backend: backend.id,
      kernel: op === 'upload' ? backend.id : backend.chosen[op]!,
      milliseconds,
      rate,
      unit,
      limit,
      fractionOfLimit: rate / medians[limit],
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
  held: HeldIn | undefined,
  { backend, peer: probe }: KernelsBenchmark,
  notes: Set<string>,
): Promise<[MatmulCase, string, MatmulPeer | undefined]> {
  const format = labelOf(held);
  if (!probe) return [made, format, undefined];
  if (held && held.outliers > 0) {
    notes.add(`No peer for ${format}: peers have no weights beside the codes.`);
    return [made, format, undefined];
  }
  const { m, linear, copies } = made;
  const peer = await probe({
    ...{ m, k: linear.cols, n: linear.rows, copies, threads: backend.threads },
    format: held ? formatFamily(held.spec) : 'f32',
    group: held ? groupOf(held.spec) : null,
  });
  if (!('unavailable' in peer)) return [made, format, peer];
  notes.add(`No peer for ${format}: ${peer.unavailable}.`);
  return [made, format, undefined];
}

/** `int4 g32 outliers 0.5%`, or `f32`. */
function labelOf(held?: HeldIn): string {
  return [formatLabel(held?.spec), outliersLabel(held?.outliers ?? 0)].filter(Boolean).join(' ');
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
