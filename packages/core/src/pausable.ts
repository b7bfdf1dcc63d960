/**
 * Work that pauses where the thread may do something else, and returns `R`: it holds the thread for a few milliseconds at a time. Whoever runs it decides what happens in
 * the pauses; `return` gives up what is left of it.
 */
export type Pausable<R> = Generator<undefined, R, undefined>;

/** The result of `work`, without a pause. */
export function atOnce<R>(work: Pausable<R>): R {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}
