import { FewbitError } from '@fewbit/core';

/** Throws `checkpoint` unless [offset, offset + length) lies in a source of `size` bytes. */
export function checkRange(name: string, size: number, offset: number, length: number): void {
  if (Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0 && offset + length <= size) return;
  throw new FewbitError('checkpoint', `${name} has ${size} bytes: ${length} bytes from byte ${offset} lie outside of it.`);
}
