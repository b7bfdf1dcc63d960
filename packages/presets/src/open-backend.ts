import { availableParallelism } from 'node:os';
import { FewbitError } from '@fewbit/core';
import { referenceProbe, selectBackend } from '@fewbit/kernels';
import { cpuProbe } from '@fewbit/kernels-cpu';
import { wasmProbe } from '@fewbit/kernels-wasm';
import type { OpenedBackend } from './types.js';

/** Fastest first; the reference always opens. */
const probes = [
  { id: 'cpu', probe: cpuProbe },
  { id: 'wasm', probe: wasmProbe },
  { id: 'reference', probe: referenceProbe },
];

export interface BackendChoice {
  /** `auto` (default: FEWBIT_BACKEND, else the first that opens) or a backend's name. */
  readonly backend?: string;
  /** Default: FEWBIT_THREADS, else all cores. */
  readonly threads?: number;
}

/** Opens a kernel backend. Throws `usage` for an unknown name, `backend` when the named one cannot run here. */
export async function openBackend(choice: BackendChoice = {}): Promise<OpenedBackend> {
  const backend = choice.backend ?? (process.env.FEWBIT_BACKEND || 'auto');
  return selectBackend(probes, { backend, threads: choice.threads ?? threadsFromEnvironment() ?? availableParallelism() });
}

function threadsFromEnvironment(): number | undefined {
  const text = process.env.FEWBIT_THREADS;
  if (text === undefined || text === '') return undefined;
  const threads = Number(text);
  if (!Number.isSafeInteger(threads) || threads < 1)
    throw new FewbitError('usage', `FEWBIT_THREADS=${text} is not a positive whole number.`);
  return threads;
}
