import { readFileSync } from 'node:fs';
import { errorCodes } from '@fewbit/core';
import { expect, it } from 'vitest';

it('docs/errors.md has every error code, in the order of the code', () => {
  const page = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');
  expect([...page.matchAll(/^## `(.+)`$/gm)].map(([, code]) => code)).toEqual([...errorCodes]);
});
