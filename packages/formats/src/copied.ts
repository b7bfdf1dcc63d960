import { inStrips, type Pausable } from '@fewbit/core';

/** `bytes` in memory of their own. */
export function* copied(bytes: Uint8Array): Pausable<Uint8Array> {
  const out = new Uint8Array(bytes.length);
  yield* inStrips(bytes.length, 1, (start, end) => out.set(bytes.subarray(start, end), start));
  return out;
}
