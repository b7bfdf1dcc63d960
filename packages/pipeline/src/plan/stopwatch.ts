/** In seconds: of the wall, and of the processor for all threads of this process. */
export interface Clock {
  wall(): number;
  processor(): number;
}

const machineClock: Clock = {
  wall: () => performance.now() / 1e3,
  processor() {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  },
};

/** Seconds that are told from the clock's steps. */
const enough = 0.002;
/** Runs of one body: at most so many, fewer where they take long. */
const runs = { most: 12, least: 3, seconds: 0.06 };

/**
 * Seconds of the quickest of some runs; the first of them warm up. Of the clock's time and the processor's (of all threads) the lesser counts: another process's turn is left
 * out, and threads that work at once are not added up.
 */
export async function quickest(body: () => unknown, clock = machineClock): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  let spent = 0;
  for (let run = 0; run < runs.most && (run < runs.least || spent < runs.seconds); run++) {
    const [wall, processor] = [clock.wall(), clock.processor()];
    await body();
    const seconds = Math.min(clock.wall() - wall, clock.processor() - processor);
    least = Math.min(least, seconds);
    spent += seconds;
  }
  return Math.max(least, 1e-6);
}

/** Work a second of a body that does `work` of a size: of the first size that takes long enough, else of the last. */
export async function rateOf(
  sizes: readonly number[],
  work: (size: number) => number,
  body: (size: number) => unknown,
  clock = machineClock,
): Promise<number> {
  let rate = 0;
  for (const size of sizes) {
    const seconds = await quickest(() => body(size), clock);
    rate = work(size) / seconds;
    if (seconds > enough) break;
  }
  return rate;
}
