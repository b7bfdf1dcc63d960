import type { RunPlan } from '@fewbit/presets';
import { duration } from './progress-bar.js';
import { megabytes } from './table.js';

/** What a run will take, for people. */
export function describePlan({ memory: { peak, limit, spilled }, time }: RunPlan): string {
  const threads = (count: number) => `${count} thread${count === 1 ? '' : 's'}`;
  return [
    'plan: ',
    ...(time ? [`about ${duration(time.seconds)} on ${time.backend.id}, ${threads(time.backend.threads)}; `] : []),
    `about ${megabytes(peak)} of memory at most (the limit is ${megabytes(limit)})`,
    ...(spilled ? [`, with ${megabytes(spilled.bytes)} spilled to a file in ${spilled.folder}`] : []),
    '\n',
  ].join('');
}
