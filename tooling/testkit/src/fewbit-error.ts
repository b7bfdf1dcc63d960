import { expect } from 'vitest';

/** What `toThrow` and `toMatchObject` match against a FewbitError of `code` whose message matches. */
export function fewbitError(code: string, message: RegExp) {
  return expect.objectContaining({ name: 'FewbitError', code, message: expect.stringMatching(message) });
}
