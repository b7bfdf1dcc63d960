import { firstNonFinite } from '@fewbit/core';
import type { DeviceTensor, Draw, Recording } from '@fewbit/kernels';
import { checkFinite, hiddenStates, type LoadedModel, writeHiddenStates } from './forward-pass.js';
import { checkTokens, headLogits } from './globals.js';
import type { KeyValueCache } from './key-value-cache.js';
import { inTurns } from './next-turn.js';

/** Steps of decoding: one more token of a sequence. */
export interface TokenSteps {
  /** Puts the logits after `tokens`, a single one, into `into`; with `draw` the token that it draws from them. */
  run(cache: KeyValueCache, tokens: Uint32Array, into: Float32Array, draw?: Draw): Promise<void>;
  close(): void;
}

/** A step written down for the rest of a page, or what is not yet or could not be. */
interface PageStep {
  recording?: Recording | undefined;
  readonly draw: Draw | undefined;
  /** Positions that it serves. */
  readonly from: number;
  readonly to: number;
}

/** A draw's `uniform` in a recording is a whole number of these. */
const shares = 2 ** 32;

/**
 * Steps of a model on a backend that records ops. From one token to the next of a page only the token and its position change, so a step is written down once for
 * each page of a cache, in turns with other work of the thread while the kernels run its first token, and then run again and again: JavaScript neither makes tensors nor
 * keeps kernels waiting.
 */
export function tokenSteps(model: LoadedModel, record: NonNullable<LoadedModel['backend']['record']>): TokenSteps {
  const { plan, globals, backend } = model;
  const known = new Map<KeyValueCache, PageStep>();
  const forget = (cache: KeyValueCache) => {
    known.get(cache)?.recording?.free();
    known.delete(cache);
  };

  const runsOf = (cache: KeyValueCache, token: number, start: number) => [{ tokens: Uint32Array.of(token), start, cache }];
  /** values: the token, its position, and the draw's share. */
  const write = (cache: KeyValueCache, draw: Draw | undefined, [token, start, share]: readonly number[]) => {
    return end(writeHiddenStates(model, runsOf(cache, token!, start!)), draw, share!);
  };
  const end = (hidden: DeviceTensor, draw: Draw | undefined, share: number) => {
    const logits = headLogits(plan, globals, backend, hidden);
    return draw ? backend.ops.sample(logits, [{ ...draw, uniform: share / shares }]) : logits;
  };
  /** The same where other work of the thread may have its turns in between. */
  const writeInTurns = async (cache: KeyValueCache, draw: Draw | undefined, [token, start, share]: readonly number[]) => {
    const hidden = await hiddenStates(model, runsOf(cache, token!, start!));
    try {
      return backend.step(() => end(hidden, draw, share!));
    } finally {
      backend.free(hidden);
    }
  };
  const remember = async (cache: KeyValueCache, draw: Draw | undefined) => {
    forget(cache);
    const pageRows = cache.blocks[0]!.keys[0]!.shape[0]!;
    const from = cache.length - (cache.length % pageRows);
    const to = Math.min(from + pageRows, plan.maxPositions) - 1;
    const ranges = [
      { from: 0, to: plan.vocabulary - 1 },
      { from, to },
      { from: 0, to: draw ? shares - 1 : 0 },
    ];
    const step: PageStep = { draw, from, to };
    known.set(cache, step);
    cache.beforePagesChange(() => forget(cache));
    const recording = await inTurns(record(ranges, (values) => write(cache, draw, values)));
    if (known.get(cache) === step) step.recording = recording;
    else recording?.free();
  };

  return {
    async run(cache, tokens, into, draw) {
      cache.reserve(1);
      const start = cache.length;
      checkTokens(plan, tokens, start);
      const values = [tokens[0]!, start, draw ? Math.floor(draw.uniform * shares) : 0];
      const found = known.get(cache);
      const step = found && start >= found.from && start <= found.to && sameFilters(found.draw, draw) ? found : undefined;
      if (step?.recording) await step.recording.run(values, into);
      else {
        const made = await writeInTurns(cache, draw, values);
        try {
          await Promise.all([backend.download(made, into), step ? undefined : remember(cache, draw)]);
        } finally {
          backend.free(made);
        }
      }
      if (firstNonFinite(into) >= 0) await checkFinite(into, model, runsOf(cache, tokens[0]!, start));
      cache.advance(tokens);
    },
    close() {
      for (const cache of [...known.keys()]) forget(cache);
    },
  };
}

function sameFilters(a: Draw | undefined, b: Draw | undefined): boolean {
  return a?.temperature === b?.temperature && a?.topK === b?.topK && a?.topP === b?.topP && a?.minP === b?.minP;
}
