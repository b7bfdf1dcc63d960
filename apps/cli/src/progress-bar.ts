import { SingleBar } from 'cli-progress';
import type { Io } from './io.js';

export interface ProgressBar {
  /** `fraction` of the whole run that is done, and what is at work. */
  update(fraction: number, at: string): void;
  stop(): void;
}

/** A bar with an ETA on a terminal; elsewhere a line whenever another tenth is done. Silent when `quiet`. */
export function progressBar(io: Io, quiet = false): ProgressBar {
  if (quiet) return { update() {}, stop() {} };
  return io.interactive ? drawnBar() : lines(io);
}

function drawnBar(): ProgressBar {
  const bar = new SingleBar({
    format: '{bar} {percentage}% · {eta_formatted} left · {at}',
    hideCursor: true,
    clearOnComplete: true,
    stopOnComplete: false,
    etaBuffer: 50,
  });
  let drawn = false;
  return {
    update(fraction, at) {
      // not before: what is printed until then has lines of its own
      if (!drawn) bar.start(1000, 0, { at });
      drawn = true;
      bar.update(Math.round(fraction * 1000), { at });
    },
    stop: () => bar.stop(),
  };
}

function lines(io: Io): ProgressBar {
  const start = performance.now();
  let tenths = -1;
  return {
    update(fraction, at) {
      const now = Math.floor(fraction * 10);
      if (now <= tenths) return;
      tenths = now;
      const seconds = (performance.now() - start) / 1000;
      const left = fraction > 0 ? `, about ${duration((seconds / fraction) * (1 - fraction))} left` : '';
      io.stderr(`${Math.round(fraction * 100)}% ${at} (${duration(seconds)}${left})\n`);
    },
    stop() {},
  };
}

export function duration(seconds: number): string {
  if (seconds < 100) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}
