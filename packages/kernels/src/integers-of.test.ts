import { atOnce } from '@fewbit/core';
import { expect, it } from 'vitest';
import { shortestType } from './integers-of.js';

it.each([
  ['BF16', [0, -1.5, 2 ** -30, 2 ** 100]],
  ['F16', [1 + 2 ** -10, -65504]],
  ['F16', [2 ** -15 + 2 ** -24, -(2 ** -14 - 2 ** -24)]], // below the normal ones
  ['F32', [1 + 2 ** -11]],
  ['F32', [2 ** -15 + 2 ** -25]],
  ['F32', [1 + 2 ** -10, 2 ** -25]],
  ['F32', [1 + 2 ** -10, 2 ** 16]],
])('the shortest type, %s, of %j', (type, scales) => {
  expect(atOnce(shortestType(Float32Array.from(scales)))).toBe(type);
});
