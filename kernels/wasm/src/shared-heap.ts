import { FewbitError } from '@fewbit/core';
import { recordedHeap, type Tape } from '@fewbit/kernels';
import { heapStart } from './control.js';

const page = 65536;
/** What 32-bit addresses reach. */
export const heapLimit = 65536 * page;
/** Blocks are whole cache lines, so that vector loops may run past a tensor's end. */
const line = 64;

/** Best-fit allocation in a growing shared WebAssembly memory; addresses are bytes. */
export interface SharedHeap {
  readonly memory: WebAssembly.Memory;
  allocate(bytes: number): number;
  free(address: number): void;
  /** New memory for a recording. */
  tape(): Tape;
}

export function sharedHeap(): SharedHeap {
  const memory = new WebAssembly.Memory({ initial: heapStart / page, maximum: heapLimit / page, shared: true });
  const used = new Map<number, number>();
  /** Free blocks by address; neighbours are merged, so the list stays short. */
  const holes: { start: number; end: number }[] = [];
  let end = heapStart;

  const { take, release, tape } = recordedHeap({ take: takeFree, release: giveBack }, 1);
  return { memory, allocate: take, free: release, tape };

  function takeFree(bytes: number): number {
    const size = Math.max(line, Math.ceil(bytes / line) * line);
    let best = smallestFit(size);
    if (best < 0) best = grow(size);
    const hole = holes[best]!;
    const address = hole.start;
    hole.start += size;
    if (hole.start === hole.end) holes.splice(best, 1);
    used.set(address, size);
    return address;
  }

  function giveBack(address: number): void {
    const size = used.get(address)!;
    used.delete(address);
    addHole(address, address + size);
  }

  /** The first of the smallest holes that have room; -1 where none has. Plain loops: a token of a small model allocates a thousand times. */
  function smallestFit(size: number): number {
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < holes.length && least > size; i++) {
      const room = holes[i]!.end - holes[i]!.start;
      if (room < size || room >= least) continue;
      best = i;
      least = room;
    }
    return best;
  }

  /** Adds pages until the last hole has `size` bytes; returns its index. */
  function grow(size: number): number {
    const last = holes.at(-1);
    const spare = last?.end === end ? end - last.start : 0;
    const pages = Math.ceil((size - spare) / page);
    try {
      if (end + pages * page > heapLimit) throw new RangeError('past 4 GiB');
      memory.grow(pages);
    } catch (cause) {
      const held = [...used.values()].reduce((sum, bytes) => sum + bytes, 0);
      const message = `WebAssembly memory is full: ${size} bytes wanted, ${held} in use of at most ${heapLimit}. Use a smaller model or shorter sequences.`;
      throw new FewbitError('backend', message, { cause });
    }
    addHole(end, end + pages * page);
    end += pages * page;
    return holes.length - 1;
  }

  function addHole(start: number, stop: number): void {
    let at = 0;
    while (at < holes.length && holes[at]!.start < start) at++;
    const [before, after] = [holes[at - 1], holes[at]];
    const joinsBefore = before?.end === start;
    const joinsAfter = after?.start === stop;
    if (joinsBefore && joinsAfter) {
      before.end = after.end;
      holes.splice(at, 1);
    } else if (joinsBefore) before.end = stop;
    else if (joinsAfter) after.start = start;
    else holes.splice(at, 0, { start, end: stop });
  }
}
