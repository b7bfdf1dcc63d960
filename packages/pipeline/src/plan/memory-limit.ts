import { freemem, totalmem } from 'node:os';

/** Of the memory that is available when a run starts; the rest is for what the estimate does not see, and for others. */
const share = 0.8;

/**
 * Bytes that the process may take in all, where nobody says so: what it takes already, and 80 % of what is available to it: what the system can give without swapping, at
 * most what its container (cgroup) still allows.
 */
export function defaultMaxMemory(): number {
  const taken = process.memoryUsage.rss();
  const allowed = process.constrainedMemory() || Number.POSITIVE_INFINITY;
  const left = allowed < totalmem() ? Math.max(0, allowed - taken) : Number.POSITIVE_INFINITY;
  return Math.round(taken + share * Math.min(freemem(), left));
}
