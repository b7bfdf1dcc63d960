import type { Backend } from '@fewbit/kernels';

/** What waits until all ops of a backend have run; those of some are only written down until something is downloaded. */
export interface Finisher {
  finish(): Promise<unknown>;
  free(): void;
}

export function finisher(backend: Backend): Finisher {
  const tensor = backend.upload(new Float32Array(1), [1]);
  return { finish: async () => backend.deferred && (await backend.download(tensor)), free: () => backend.free(tensor) };
}
