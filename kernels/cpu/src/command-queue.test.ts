import { expect, it, vi } from 'vitest';
import { commandIds, commandQueue } from './command-queue.js';

function opened() {
  const submitted: number[][] = [];
  const engine = {
    submit: (commands: Float64Array, count: number) => void submitted.push([...commands.subarray(0, count)]),
    settle: vi.fn(),
    finish: vi.fn(async () => undefined),
  };
  return { queue: commandQueue(engine), engine, submitted };
}

it('what is captured does not run, and is written down again as often as it is appended', () => {
  const { queue, submitted } = opened();
  queue.push('scale', [1, 2, 3, 4]);
  const captured = queue.capture(() => {
    queue.push('add', [5]);
    queue.push('rotate', [6], [true], Float32Array.of(0.5, 0.25));
  });
  expect([...captured]).toEqual([commandIds.add, 5, commandIds.rotate, 6, 1, 2, 0.5, 0.25]);
  queue.append(captured);
  queue.push('scale', [7]);
  queue.append(captured);
  queue.settle();
  expect(submitted).toEqual([[commandIds.scale, 1, 2, 3, 4, ...captured, commandIds.scale, 7, ...captured]]);
});

it('a body that throws leaves nothing captured', () => {
  const { queue, submitted } = opened();
  queue.push('scale', [1]);
  const fails = () =>
    queue.capture(() => {
      queue.push(
        'add',
        Array.from({ length: 5000 }, () => 2),
      );
      throw new Error('on purpose');
    });
  expect(fails).toThrow('on purpose');
  queue.settle();
  expect(submitted).toEqual([[commandIds.scale, 1]]);
});

it('begins without being waited for, and of a failure those hear who wait next', async () => {
  const { queue, engine, submitted } = opened();
  queue.push('packCodes', [1]);
  queue.begin([]);
  expect(submitted).toEqual([[commandIds.packCodes, 1]]);
  expect(engine.finish).toHaveBeenCalledOnce();
  engine.finish.mockRejectedValueOnce(new Error('no memory'));
  queue.push('packCodes', [2]);
  queue.begin([]);
  await new Promise(setImmediate);
  await expect(queue.finish()).rejects.toThrow(/native kernels failed \(no memory\)/);
  expect(() => queue.settle()).toThrow(/no memory/);
});
