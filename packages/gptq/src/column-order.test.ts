import fc from 'fast-check';
import { expect, it } from 'vitest';
import { columnOrder } from './index.js';

const importance = Float64Array.of(1, 5, 2, 2, 9, 0, 7);

it('orders columns', () => {
  expect([...columnOrder('natural', importance, 3)]).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect([...columnOrder('activation', importance, 3)]).toEqual([4, 6, 1, 2, 3, 0, 5]);
  expect([...columnOrder('group-aware', importance, 3)]).toEqual([4, 3, 5, 6, 1, 2, 0]);
});

it('keeps groups together in group-aware order', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 1, max: 40 }),
      (values, group) => {
        const order = [...columnOrder('group-aware', Float64Array.from(values), group)];
        expect([...order].sort((a, b) => a - b)).toEqual(values.map((_, i) => i));
        const changes = order.filter((column, k) => k > 0 && Math.floor(column / group) !== Math.floor(order[k - 1]! / group)).length;
        expect(changes).toBe(Math.ceil(values.length / group) - 1);
      },
    ),
  );
});
