import { random } from '@fewbit/core';
import type { FormatSpec } from '@fewbit/formats';
import type { ActivationPrecision, Backend } from '@fewbit/kernels';
import { linears, type ModelPlan } from '@fewbit/models';
import { createCache, type Model, type ModelOptions, openModel, type WeightSource } from '@fewbit/runtime';
import type { ModelDocument, ModelRow } from './documents.js';
import { groupOf } from './format-label.js';
import { type Batch, contextsOf, openBatch } from './measure-batch.js';
import { measureLag } from './measure-lag.js';
import { openLimits } from './measure-limits.js';
import { measureMemory } from './measure-memory.js';
import type { Peer, PeerProbe, Task } from './peers/types.js';
import { type Run, seconds, takeTurns } from './take-turns.js';

export interface ModelBenchmark {
  /** For the rows: a shape's name, or a path. */
  readonly shape: string;
  readonly source: WeightSource;
  /** Whether it reads a checkpoint and makes nothing itself, so that loading is what a user's program does. */
  readonly isStored: boolean;
  readonly backend: Backend;
  /** Of the linear layers: a name for the rows and the peer, and in full. */
  readonly format: string;
  readonly spec: FormatSpec;
  /** What the inputs of weights in codes are rounded to, where products with them round at all. */
  readonly activations: ActivationPrecision | 'f32';
  readonly keyValues: NonNullable<ModelOptions['keyValues']>;
  readonly what: readonly ('decode' | 'prefill')[];
  readonly prompt: number;
  readonly generate: number;
  /** Of a batch that is measured beside; 1: none. */
  readonly sequences: number;
  readonly rounds: number;
  readonly seed: number;
  readonly peer?: PeerProbe | undefined;
  readonly streamBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (message: string) => void;
}

type Kind = ModelRow['what'];

/** Tokens per second of a model, of a peer with a model of the same shape, and the machine's limits, all in turns. */
export async function measureModel(benchmark: ModelBenchmark): Promise<ModelDocument> {
  const { source, backend, activations, keyValues, sequences, rounds, streamBytes, signal, onProgress = () => undefined } = benchmark;
  const { plan } = source;
  const what: readonly Kind[] = sequences > 1 ? [...benchmark.what, 'batch'] : benchmark.what;
  const task = {
    prompt: randomTokens(plan, benchmark.prompt, benchmark.seed),
    generate: benchmark.generate,
    contexts: sequences > 1 ? contextsOf(sequences, benchmark.prompt) : [],
  };
  const notes: string[] = [];

  onProgress('loading the weights');
  const before = backend.bytes;
  const { result: model, lag: load } = await measureLag(() => openModel(source, backend, { activations, keyValues }));
  const held = backend.bytes - before;
  onProgress('running the prompt once');
  const memory = await measureMemory(model, held, task);
  let batch: Batch | undefined;
  const limits = await openLimits({ threads: backend.threads, ...(streamBytes && { streamBytes }) });
  let peer: Peer | undefined;
  try {
    batch = await openBatch(model, task);
    const own: Record<Kind, Run> = { prefill: () => prefill(model, task), decode: () => decode(model, task), batch: batch.together };
    const eventLoopLag: ModelDocument['eventLoopLag'] = benchmark.isStored ? { load } : {};
    for (const kind of what) eventLoopLag[kind] = (await measureLag(async () => own[kind]())).lag;
    peer = await openPeer(benchmark, task, notes, onProgress);
    const runs: Record<string, Run> = { ...limits.runs };
    for (const kind of what) {
      runs[kind] = own[kind];
      if (kind === 'batch') runs['one by one'] = batch.oneByOne;
      if (peer?.[kind]) runs[`peer ${kind}`] = peer[kind];
    }
    if (sequences > 1 && peer && !peer.batch) notes.push(`No peer for the batch: ${peer.name} is not run with several sequences.`);
    onProgress(`measuring: ${rounds} rounds of ${Object.keys(runs).join(', ')}`);
    const medians = await takeTurns(runs, { rounds, signal });
    const machine = limits.machine({ readBandwidth: medians.readBandwidth!, gemmPeak: medians.gemmPeak! });
    const { weights } = model;
    const rows = what.map((kind): ModelRow => {
      const tokensPerSecond = medians[kind]!;
      const together = kind === 'batch' ? sequences : 1;
      const work = kind === 'prefill' ? operationsPerToken(plan, task.prompt.length) : (held - unreadBytes(model)) / together;
      const limit = 1e9 * (kind === 'prefill' ? machine.gemmPeak : machine.readBandwidth);
      const oneByOne = medians['one by one'];
      const rival = medians[`peer ${kind}`];
      return {
        what: kind,
        shape: benchmark.shape,
        format: benchmark.format,
        group: groupOf(benchmark.spec),
        activations: weights.get(linears(plan)[0]!.module)!.activations,
        backend: backend.id,
        kernel: backend.chosen.matmul!,
        tokens: kind === 'prefill' ? task.prompt.length : task.generate,
        tokensPerSecond,
        ...(kind === 'batch' &&
          oneByOne && { sequences, perSequence: tokensPerSecond / sequences, oneByOne, gain: tokensPerSecond / oneByOne }),
        work,
        fractionOfLimit: (work * tokensPerSecond) / limit,
        ...(peer && rival && { peer: { name: peer.name, type: peer.type, tokensPerSecond: rival }, ratio: tokensPerSecond / rival }),
      };
    });
    return { machine, memory, eventLoopLag, rounds, rows, notes };
  } finally {
    batch?.close();
    await peer?.close();
    await limits.close();
    await model.close();
  }
}

async function openPeer(
  { source, format, spec, backend, peer: probe }: ModelBenchmark,
  task: Task,
  notes: string[],
  onProgress: (message: string) => void,
): Promise<Peer | undefined> {
  if (!probe) return undefined;
  onProgress('opening the peer');
  const peer = await probe({ plan: source.plan, format, group: groupOf(spec), task, threads: backend.threads });
  if (!('unavailable' in peer)) return peer;
  notes.push(`No peer, so no ratio: ${peer.unavailable}.`);
  return undefined;
}

/** Prompt tokens per second, up to the logits after the last one. */
async function prefill(model: Model, { prompt }: Task): Promise<number> {
  const cache = createCache(model);
  try {
    return prompt.length / (await seconds(() => model.logits(prompt, { cache, lastOnly: true })));
  } finally {
    cache.close();
  }
}

/** Tokens per second, greedily from one token of context. */
async function decode(model: Model, { prompt, generate }: Task): Promise<number> {
  const cache = createCache(model);
  const greedily = { cache, draw: { uniform: 0, temperature: 0 } };
  try {
    let tokens = await model.next([{ tokens: prompt.subarray(0, 1), ...greedily }]);
    const time = await seconds(async () => {
      for (let i = 0; i < generate; i++) tokens = await model.next([{ tokens, ...greedily }]);
    });
    return generate / time;
  } finally {
    cache.close();
  }
}

/** Of the token embeddings a token reads one row, unless they are the head too. */
function unreadBytes({ plan: { embedding, head }, weights }: Model): number {
  return head.tied ? 0 : weights.get(embedding.tokens.replace(/\.weight$/, ''))!.bytes;
}

/** Multiplications and additions of the linear layers, and of the head for the last token of the prompt; attention's products are left out. */
function operationsPerToken(plan: ModelPlan, tokens: number): number {
  const blocks = linears(plan).reduce((sum, { rows, cols }) => sum + 2 * rows * cols, 0);
  return blocks + (2 * plan.vocabulary * plan.hidden) / tokens;
}

function randomTokens({ vocabulary }: ModelPlan, count: number, seed: number): Uint32Array {
  const { below } = random(seed);
  return Uint32Array.from({ length: count }, () => below(vocabulary));
}
