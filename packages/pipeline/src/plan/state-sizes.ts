import type { Backend } from '@fewbit/kernels';
import { linears, type ModelPlan } from '@fewbit/models';

/** Values of the widest input of a site, a token. */
export function inputWidth(plan: ModelPlan): number {
  return Math.max(...linears(plan).map(({ cols }) => cols));
}

/** Bytes of the tensors of `streams` streams of so many tokens between two stages. */
export function stateBytes(plan: ModelPlan, tokens: number, streams: number): number {
  return tokens * streams * (plan.hidden + inputWidth(plan)) * Float32Array.BYTES_PER_ELEMENT;
}

/** Where they stay in memory: with the backend, where they take at most half of what its memory has left. */
export function memoryFor(bytes: number, { capacity, bytes: used }: Backend): 'backend' | 'host' {
  return capacity === undefined || bytes <= (capacity - used) / 2 ? 'backend' : 'host';
}
