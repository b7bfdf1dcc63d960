import type { RunPlan } from '@fewbit/presets';
import { megabytes } from './table.js';

/** What a run will take, for people: a line each. */
export function describePlan({ memory: { peak, limit, spilled } }: RunPlan): string {
  return [
    `plan: about ${megabytes(peak)} of memory at most (the limit is ${megabytes(limit)})`,
    ...(spilled ? [`, with ${megabytes(spilled.bytes)} spilled to a file in ${spilled.folder}`] : []),
    '\n',
  ].join('');
}
