import { expect, it } from 'vitest';
import { recordedHeap } from './recorded-heap.js';

function counted() {
  const released: string[] = [];
  let blocks = 0;
  const heap = recordedHeap<string>({ take: (size) => `${blocks++}: ${size}`, release: (block) => void released.push(block) }, 4);
  return { heap, released };
}

it('a tape gives the same blocks in each pass, and gives them back when it is freed', () => {
  const { heap, released } = counted();
  const tape = heap.tape();
  const pass = () =>
    tape.pass(() => {
      const [a, b] = [heap.take(8), heap.take(8)];
      heap.release(a);
      const again = heap.take(8);
      for (const block of [b, again]) heap.release(block);
      return [a, b, again, heap.take(2)];
    });
  expect(pass()).toEqual(['0: 8', '1: 8', '0: 8', '2: 2']);
  expect(tape.bytes).toBe(4 * 18);
  expect(heap.take(8)).toBe('3: 8');
  expect(pass()).toEqual(['0: 8', '1: 8', '0: 8', '2: 2']);
  expect(released).toEqual([]);
  tape.free();
  expect(released).toEqual(['0: 8', '1: 8', '2: 2']);
  heap.release('3: 8');
  expect(released).toHaveLength(4);
});

it.each([
  ['another size', [8, 4]],
  ['more', [8, 2, 2]],
])('a later pass cannot take %s', (_, sizes) => {
  const { heap } = counted();
  const tape = heap.tape();
  tape.pass(() => [heap.take(8), heap.take(2)]);
  expect(() => tape.pass(() => sizes.map(heap.take))).toThrow(/other memory/);
  expect(heap.take(1)).toBe('2: 1');
});
