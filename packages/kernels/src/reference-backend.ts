import { hostBackend } from './host-backend.js';
import { arrayHeap } from './host-memory.js';
import type { Backend, BackendProbe } from './types.js';

/** Plain TypeScript on one thread: slow, and the definition of what every other backend computes. */
export function referenceBackend(): Backend {
  return hostBackend({
    id: 'reference',
    description: 'plain TypeScript, sums in double, 1 thread',
    threads: 1,
    heap: arrayHeap,
    tables: () => [],
    close: async () => undefined,
  });
}

export const referenceProbe: BackendProbe = async () => referenceBackend();
