import { FewbitError } from '@fewbit/core';

/** Throws `cancelled` once the signal has fired. */
export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new FewbitError('cancelled', 'Generation stopped.', { cause: signal.reason });
}
