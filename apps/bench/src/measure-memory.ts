import { createCache, type Model } from '@fewbit/runtime';
import type { MemoryFigures } from './documents.js';
import type { Task } from './peers/types.js';

/**
 * Memory of a model that was just loaded, after it has run the prompt and one token more. To be called before anything else of the process takes
 * memory: the peak is that of the whole process since it began, loading included.
 */
export async function measureMemory(model: Model, weights: number, { prompt }: Task): Promise<MemoryFigures> {
  const cache = createCache(model);
  try {
    const before = model.backend.bytes;
    await model.logits(prompt, { cache, lastOnly: true });
    const held = model.backend.bytes - before;
    await model.logits(prompt.subarray(0, 1), { cache, lastOnly: true });
    const peakResident = process.resourceUsage().maxRSS * 1024;
    return { weights, cache: held, peakResident, overWeights: peakResident / weights - 1 };
  } finally {
    cache.close();
  }
}
