import { firstNonFinite } from '@fewbit/core';
import type { DeviceTensor, Draw, Recording } from '@fewbit/kernels';
import type { SequenceTokens } from './batch.js';
import { checkFinite, hiddenStates, type LoadedModel, writeHiddenStates } from './forward-pass.js';
import { checkTokens, headLogits } from './globals.js';
import type { KeyValueCache } from './key-value-cache.js';
import { inTurns } from './next-turn.js';

/** Steps of decoding: one more token of each of some sequences. */
export interface TokenSteps {
  /** Puts the logits after each sequence's token, a single one, into `into`; with draws, of all or of none, the tokens that they draw from them. When it throws no sequence has moved on. */
  run(sequences: readonly StepSequence[], into: Float32Array): Promise<void>;
  close(): void;
}

export interface StepSequence extends SequenceTokens {
  readonly draw?: Draw;
}

/** A step of these caches written down, each for the rest of its page, or what is not yet or could not be. */
interface PageStep {
  recording?: Recording | undefined;
  readonly places: readonly Place[];
}

/** One sequence of a step. */
interface Place {
  readonly cache: KeyValueCache;
  readonly draw: Draw | undefined;
  /** Positions that it serves. */
  readonly from: number;
  readonly to: number;
}

/** A draw's `uniform` in a recording is a whole number of these. */
const shares = 2 ** 32;

/**
 * Steps of a model on a backend that records ops. From one token to the next of a page only the token and its position change, so a step is written down once for
 * each page of a cache, a batch's once for each page of one of them, in turns with other work of the thread while the kernels run its first token, and then run again and again: JavaScript neither makes tensors nor
 * keeps kernels waiting.
 */
export function tokenSteps(model: LoadedModel, record: NonNullable<LoadedModel['backend']['record']>): TokenSteps {
  const { plan, globals, backend } = model;
  /** The step that a cache was in last. */
  const known = new Map<KeyValueCache, PageStep>();
  const forget = (cache: KeyValueCache) => {
    const step = known.get(cache);
    step?.recording?.free();
    for (const { cache } of step?.places ?? []) if (known.get(cache) === step) known.delete(cache);
  };

  /** values: of each sequence the token, its position, and the draw's share. */
  const runsOf = (caches: readonly KeyValueCache[], values: readonly number[]) =>
    caches.map((cache, i) => ({ tokens: Uint32Array.of(values[3 * i]!), start: values[3 * i + 1]!, cache }));
  const write = (caches: readonly KeyValueCache[], draws: readonly Draw[], values: readonly number[]) =>
    end(writeHiddenStates(model, runsOf(caches, values)), draws, values);
  const end = (hidden: DeviceTensor, draws: readonly Draw[], values: readonly number[]) => {
    const logits = headLogits(plan, globals, backend, hidden);
    if (draws.length === 0) return logits;
    return backend.ops.sample(
      logits,
      draws.map((draw, i) => ({ ...draw, uniform: values[3 * i + 2]! / shares })),
    );
  };
  /** The same where other work of the thread may have its turns in between. */
  const writeInTurns = async (caches: readonly KeyValueCache[], draws: readonly Draw[], values: readonly number[]) => {
    const hidden = await hiddenStates(model, runsOf(caches, values));
    try {
      return backend.step(() => end(hidden, draws, values));
    } finally {
      backend.free(hidden);
    }
  };
  const placeOf = ({ cache, draw }: StepSequence): Place => {
    const pageRows = cache.blocks[0]!.keys[0]!.shape[0]!;
    const from = cache.length - (cache.length % pageRows);
    return { cache, draw, from, to: Math.min(from + pageRows, plan.maxPositions) - 1 };
  };
  const remember = async (sequences: readonly StepSequence[], caches: readonly KeyValueCache[], draws: readonly Draw[]) => {
    const step: PageStep = { places: sequences.map(placeOf) };
    for (const cache of caches) forget(cache);
    for (const cache of caches) {
      known.set(cache, step);
      cache.beforePagesChange(() => forget(cache));
    }
    const ranges = step.places.flatMap(({ from, to, draw }) => [
      { from: 0, to: plan.vocabulary - 1 },
      { from, to },
      { from: 0, to: draw ? shares - 1 : 0 },
    ]);
    const recording = await inTurns(record(ranges, (values) => write(caches, draws, values)));
    if (caches.every((cache) => known.get(cache) === step)) step.recording = recording;
    else recording?.free();
  };

  return {
    async run(sequences, into) {
      const caches = sequences.map(({ cache }) => cache);
      const draws = sequences.flatMap(({ draw }) => draw ?? []);
      for (const cache of caches) cache.reserve(1);
      for (const { tokens, cache } of sequences) checkTokens(plan, tokens, cache.length);
      const values = sequences.flatMap(({ tokens, cache, draw }) => [
        tokens[0]!,
        cache.length,
        draw ? Math.floor(draw.uniform * shares) : 0,
      ]);
      const found = known.get(caches[0]!);
      const step = found && serves(found, sequences) ? found : undefined;
      if (step?.recording) await step.recording.run(values, into);
      else {
        const made = await writeInTurns(caches, draws, values);
        try {
          await Promise.all([backend.download(made, into), step ? undefined : remember(sequences, caches, draws)]);
        } finally {
          backend.free(made);
        }
      }
      if (firstNonFinite(into) >= 0) await checkFinite(into, model, runsOf(caches, values));
      for (const { tokens, cache } of sequences) cache.advance(tokens);
    },
    close() {
      for (const cache of [...known.keys()]) forget(cache);
    },
  };
}

/** Whether the step is of these sequences, in their order, and of the pages that they are in. */
function serves({ places }: PageStep, sequences: readonly StepSequence[]): boolean {
  if (places.length !== sequences.length) return false;
  return places.every(({ cache, draw, from, to }, i) => {
    const sequence = sequences[i]!;
    return cache === sequence.cache && cache.length >= from && cache.length <= to && sameFilters(draw, sequence.draw);
  });
}

function sameFilters(a: Draw | undefined, b: Draw | undefined): boolean {
  return a?.temperature === b?.temperature && a?.topK === b?.topK && a?.topP === b?.topP && a?.minP === b?.minP;
}
