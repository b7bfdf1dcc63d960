import { expect, it } from 'vitest';
import { intColumns } from './index.js';
import { intParams } from './int-matrix.js';

it('params have the same columns as a list of objects and as what a file holds, which are not copied', () => {
  const scales = Float32Array.of(1, 0.5, 0.25);
  for (const [zeros, expected] of [
    [Uint8Array.of(3, 4, 3), Uint8Array.of(3, 4, 3)],
    [Uint8Array.of(3, 3, 3), 3],
    [8, 8],
  ] as const) {
    const held = intParams(scales, zeros);
    expect(intColumns(held)).toEqual({ scales, zeros: expected });
    expect(intColumns(held).scales).toBe(scales);
    expect(intColumns([...held])).toEqual({ scales, zeros: expected });
  }
  expect(intColumns([])).toEqual({ scales: new Float32Array(), zeros: 0 });
});
