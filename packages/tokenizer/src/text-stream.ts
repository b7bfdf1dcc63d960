import type { TextStream } from './types.js';

/**
 * Decodes a growing sequence of ids in time linear in its length: only the ids since the last piece are decoded again, after
 * those of the piece before, so that they read as they do in the whole text. `skips` tells which ids decode to nothing.
 */
export function textStream(decode: (ids: readonly number[]) => string, skips: (id: number) => boolean): TextStream {
  let context: number[] = [];
  let pending: number[] = [];

  const flush = (): string => {
    const piece = pendingText();
    context = piece === '' ? [...context, ...pending] : pending;
    pending = [];
    return piece;
  };
  const pendingText = () => decode([...context, ...pending]).slice(decode(context).length);

  return {
    push(id) {
      if (skips(id)) return '';
      pending.push(id);
      // a character whose last bytes are still to come
      return pendingText().endsWith('\uFFFD') ? '' : flush();
    },
    end: flush,
  };
}
