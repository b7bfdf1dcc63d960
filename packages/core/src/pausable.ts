/**
 * Work that pauses where the thread may do something else, and returns `R`: it holds the thread for a few milliseconds at a time. Whoever runs it decides what happens in
 * the pauses; `return` gives up what is left of it.
 */
export type Pausable<R> = Generator<undefined, R, undefined>;

/** Values that are worked on without a pause, at a few nanoseconds each. */
const stripLength = 1 << 18;

/** The result of `work`, without a pause. */
export function atOnce<R>(work: Pausable<R>): R {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** Calls `body` for the units from `start` to `end` − 1, and so on for all `count`, with a pause between the calls. A unit is `size` values, such as a row. */
export function* inStrips(count: number, size: number, body: (start: number, end: number) => void): Pausable<void> {
  const each = Math.max(1, Math.floor(stripLength / Math.max(1, size)));
  for (let start = 0; start < count; start += each) {
    if (start > 0) yield;
    body(start, Math.min(start + each, count));
  }
}

/** The first place that `find` knows of: it is asked for strips of `count` values, and answers with a place in the strip or -1. */
export function* findInStrips(count: number, find: (start: number, end: number) => number): Pausable<number> {
  for (let start = 0; start < count; start += stripLength) {
    if (start > 0) yield;
    const at = find(start, Math.min(start + stripLength, count));
    if (at >= 0) return start + at;
  }
  return -1;
}
