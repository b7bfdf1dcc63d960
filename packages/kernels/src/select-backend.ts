import { FewbitError } from '@fewbit/core';
import type { Backend, BackendProbe } from './types.js';

export interface NamedProbe {
  readonly id: string;
  readonly probe: BackendProbe;
}

export interface BackendSelection {
  readonly backend: Backend;
  /** The probes tried before, each with why it could not be used. */
  readonly refused: readonly { readonly id: string; readonly reason: string }[];
}

/**
 * Opens the backend called `backend`, or with 'auto' the first of `probes` that is available.
 * Throws `usage` for an unknown name or thread count, `backend` when what was asked for is unavailable.
 */
export async function selectBackend(
  probes: readonly NamedProbe[],
  { backend = 'auto', threads }: { backend?: string; threads: number },
): Promise<BackendSelection> {
  if (!Number.isInteger(threads) || threads < 1) {
    throw new FewbitError('usage', `${threads} threads: the number of threads must be a whole number from 1.`);
  }
  const candidates = backend === 'auto' ? probes : probes.filter(({ id }) => id === backend);
  if (candidates.length === 0) {
    const choices = ['auto', ...probes.map(({ id }) => id)].join(', ');
    throw new FewbitError('usage', `There is no backend '${backend}'. Choose one of: ${choices}.`);
  }
  const refused: { id: string; reason: string }[] = [];
  for (const { id, probe } of candidates) {
    const result = await probe({ threads });
    if (!('unavailable' in result)) return { backend: result, refused };
    refused.push({ id, reason: result.unavailable });
  }
  const reasons = refused.map(({ id, reason }) => `${id}: ${reason}`).join('; ');
  const remedy =
    backend === 'auto'
      ? 'Mend one of them, or also give one that always opens, as the reference does'
      : "Choose 'auto' for the fastest that runs here";
  throw new FewbitError('backend', `No backend could be opened (${reasons}). ${remedy}.`);
}
