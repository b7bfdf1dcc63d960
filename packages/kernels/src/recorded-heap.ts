import { FewbitError } from '@fewbit/core';

/** Memory in blocks: arrays, or addresses. */
export interface BlockHeap<B> {
  take(size: number): B;
  release(block: B): void;
}

/** The memory of a recording, which nobody else gets until `free`. */
export interface Tape {
  /** Runs `body`, whose ops take memory of the tape. The first time it grows as they need; from then on each gets the blocks that it had at first. */
  pass<R>(body: () => R): R;
  readonly bytes: number;
  free(): void;
}

export interface RecordedHeap<B> extends BlockHeap<B> {
  tape(): Tape;
}

/** `heap`, whose place tapes can take for a while. Its sizes are in units of `unit` bytes. */
export function recordedHeap<B>(heap: BlockHeap<B>, unit: number): RecordedHeap<B> {
  let current = heap;
  return {
    take: (size) => current.take(size),
    release: (block) => current.release(block),
    tape() {
      const blocks = tapeBlocks(heap);
      return {
        pass(body) {
          const outer = current;
          current = blocks.pass();
          try {
            return body();
          } finally {
            current = outer;
          }
        },
        get bytes() {
          return blocks.size() * unit;
        },
        free: blocks.free,
      };
    },
  };
}

function tapeBlocks<B>(heap: BlockHeap<B>) {
  const sizes = new Map<B, number>();
  /** What was taken in the first pass, in its order. */
  const order: B[] = [];
  const spare = new Map<number, B[]>();
  let size = 0;
  let isFirst = true;

  const first: BlockHeap<B> = {
    take(wanted) {
      const found = spare.get(wanted)?.pop();
      const block = found ?? heap.take(wanted);
      if (found === undefined) size += wanted;
      sizes.set(block, wanted);
      order.push(block);
      return block;
    },
    release(block) {
      const released = sizes.get(block)!;
      const list = spare.get(released);
      if (list) list.push(block);
      else spare.set(released, [block]);
    },
  };
  const again = (): BlockHeap<B> => {
    let next = 0;
    return {
      take(wanted) {
        const block = order[next++];
        if (block !== undefined && sizes.get(block) === wanted) return block;
        throw new FewbitError('backend', 'Ops that are recorded take other memory than they took at first.');
      },
      release: () => undefined,
    };
  };
  return {
    pass() {
      if (!isFirst) return again();
      isFirst = false;
      return first;
    },
    size: () => size,
    free() {
      for (const block of sizes.keys()) heap.release(block);
      sizes.clear();
    },
  };
}
