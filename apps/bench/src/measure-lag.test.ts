import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { measureLag } from './measure-lag.js';

test('the longest lag is that of the work that held the loop up, the median that of the waiting around it', async () => {
  const { result, lag } = await measureLag(async () => {
    const start = performance.now();
    while (performance.now() - start < 100);
    await setTimeout(150);
    return 'done';
  });
  expect(result).toBe('done');
  const { p50, p99, max } = lag;
  expect(max).toBeGreaterThan(90);
  expect(p50).toBeLessThan(p99);
  expect(p99).toBeLessThanOrEqual(max);
});

test('work in the last step counts', async () => {
  const { lag } = await measureLag(async () => {
    await setTimeout(5);
    const start = performance.now();
    while (performance.now() - start < 100);
  });
  expect(lag.max).toBeGreaterThan(90);
});
