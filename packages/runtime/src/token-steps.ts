import { firstNonFinite } from '@fewbit/core';
import type { Recording } from '@fewbit/kernels';
import { checkFinite, type LoadedModel, writeHiddenStates } from './forward-pass.js';
import { checkTokens, headLogits } from './globals.js';
import type { KeyValueCache } from './key-value-cache.js';

/** Steps of decoding: one more token of a sequence. */
export interface TokenSteps {
  /** Puts the logits after `tokens`, a single one, into `into`. */
  run(cache: KeyValueCache, tokens: Uint32Array, into: Float32Array): Promise<void>;
  close(): void;
}

/** A step written down for the rest of a page, or what could not be. */
interface PageStep {
  readonly recording: Recording | undefined;
  /** Positions that it serves. */
  readonly from: number;
  readonly to: number;
}

/**
 * Steps of a model on a backend that records ops. From one token to the next of a page only the token and its position change, so a step is written down once for
 * each page of a cache, while the kernels run its first token, and then run again and again: JavaScript neither makes tensors nor keeps kernels waiting.
 */
export function tokenSteps(model: LoadedModel, record: NonNullable<LoadedModel['backend']['record']>): TokenSteps {
  const { plan, globals, backend } = model;
  const known = new Map<KeyValueCache, PageStep>();
  const forget = (cache: KeyValueCache) => {
    known.get(cache)?.recording?.free();
    known.delete(cache);
  };

  const runsOf = (cache: KeyValueCache, token: number, start: number) => [{ tokens: Uint32Array.of(token), start, cache }];
  const write = (cache: KeyValueCache, token: number, start: number) =>
    headLogits(plan, globals, backend, writeHiddenStates(model, runsOf(cache, token, start)));
  const remember = (cache: KeyValueCache) => {
    forget(cache);
    const pageRows = cache.blocks[0]!.keys[0]!.shape[0]!;
    const from = cache.length - (cache.length % pageRows);
    const to = Math.min(from + pageRows, plan.maxPositions) - 1;
    const ranges = [
      { from: 0, to: plan.vocabulary - 1 },
      { from, to },
    ];
    known.set(cache, { recording: record(ranges, ([token, position]) => write(cache, token!, position!)), from, to });
    cache.beforePagesChange(() => forget(cache));
  };

  return {
    async run(cache, tokens, into) {
      cache.reserve(1);
      const start = cache.length;
      checkTokens(plan, tokens, start);
      const found = known.get(cache);
      const step = found && start >= found.from && start <= found.to ? found : undefined;
      if (step?.recording) await step.recording.run([tokens[0]!, start], into);
      else {
        const logits = backend.step(() => write(cache, tokens[0]!, start));
        try {
          const downloaded = backend.download(logits, into);
          if (!step) remember(cache);
          await downloaded;
        } finally {
          backend.free(logits);
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
