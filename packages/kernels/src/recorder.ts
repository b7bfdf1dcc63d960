import { FewbitError } from '@fewbit/core';
import type { HostMemory } from './host-memory.js';
import { type LinearList, linearList } from './linear-list.js';
import type { Tape } from './recorded-heap.js';
import type { Backend, DeviceTensor, Recording, ValueRange } from './types.js';

/** A queue whose ops are lists of numbers, which can be kept and handed in again. */
export interface RecordedQueue {
  finish(): Promise<void>;
  /** What `body` writes down, which does not run. */
  capture(body: () => void): Float64Array;
  /** Writes such a list down. */
  append(list: Float64Array): void;
}

/** `Backend.record`, and the bytes that recordings take. */
export function recorder<A extends Float32Array>(memory: HostMemory<A>, queue: RecordedQueue, newTape: () => Tape): Recorder {
  let bytes = 0;
  return {
    bytes: () => bytes,
    *record(ranges, body) {
      const tape = newTape();
      const used = new Set<DeviceTensor>();
      let output: A | undefined;
      let list: LinearList | undefined;
      const listAt = (values: readonly number[]) => {
        try {
          let found: readonly DeviceTensor[] | undefined;
          const ops = () => {
            output = memory.find(body(values)).data;
          };
          const written = tape.pass(() =>
            queue.capture(() => {
              found = memory.recorded(() => memory.step(ops));
            }),
          );
          for (const tensor of found ?? []) used.add(tensor);
          return found && written;
        } catch (error) {
          // memory is short, or is not always taken alike
          if (FewbitError.is(error) && error.code === 'backend') return undefined;
          throw error;
        }
      };
      try {
        list = yield* linearList(ranges, listAt);
      } finally {
        if (!list) tape.free();
      }
      if (!list || !output) return undefined;
      bytes += tape.bytes;
      const free = () => {
        bytes -= tape.bytes;
        tape.free();
      };
      return recording({ memory, queue, ranges, list, output, used: [...used], free });
    },
  };
}

function recording<A extends Float32Array>({ memory, queue, ranges, list, output, used, free }: Recorded<A>): Recording {
  let isFreed = false;
  return {
    async run(values, into) {
      if (isFreed) throw new FewbitError('backend', 'The recording was freed: record the ops again.');
      for (let i = 0; i < ranges.length; i++) requireWithin(ranges[i]!, values[i]!);
      if (into.length !== output.length) {
        throw new FewbitError('usage', `A recording of ${output.length} values was given memory for ${into.length}.`);
      }
      for (let i = 0; i < used.length; i++) memory.findAny(used[i]!);
      list.moveTo(values);
      queue.append(list.numbers);
      await queue.finish();
      into.set(output);
    },
    free() {
      if (isFreed) return;
      isFreed = true;
      free();
    },
  };
}

function requireWithin({ from, to }: ValueRange, value: number): void {
  if (Number.isInteger(value) && value >= from && value <= to) return;
  throw new FewbitError('usage', `A recording for ${from} to ${to} was given ${value}.`);
}

interface Recorder {
  readonly record: NonNullable<Backend['record']>;
  readonly bytes: () => number;
}

interface Recorded<A extends Float32Array> {
  readonly memory: HostMemory<A>;
  readonly queue: RecordedQueue;
  readonly ranges: readonly ValueRange[];
  readonly list: LinearList;
  /** What the ops make. */
  readonly output: A;
  /** What they read that others may free. */
  readonly used: readonly DeviceTensor[];
  readonly free: () => void;
}
