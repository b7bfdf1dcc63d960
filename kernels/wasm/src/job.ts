import { FewbitError } from '@fewbit/core';
import { firstArgument, jobKernel, jobTasks, jobWords, queueBytes, scratchBase, scratchStride } from './control.js';

/** One kernel over `tasks` tasks. */
export interface Job {
  readonly kernel: number;
  readonly tasks: number;
  readonly values: readonly number[];
  /** Arguments behind `values`, where they are many. */
  readonly operands: ArrayLike<number>;
  /** Bytes of each thread's scratch memory, a multiple of 64, and where the first thread's begins. */
  readonly scratch: number;
  readonly scratchAt: number;
}

/** Float64 words of a job. Throws `backend` for one that is longer than the queue. */
export function jobLength({ values, operands }: Job): number {
  const words = firstArgument + values.length + operands.length;
  if (words <= queueBytes / 8) return words;
  throw new FewbitError('backend', `A WebAssembly job of ${words} numbers does not fit ${queueBytes} bytes: give it in parts.`);
}

/** Writes a job down as WebAssembly reads it (control.ts). */
export function writeJob({ kernel, tasks, values, operands, scratch, scratchAt }: Job, into: Float64Array, at: number): void {
  into[at + jobWords] = firstArgument + values.length + operands.length;
  into[at + jobKernel] = kernel;
  into[at + jobTasks] = tasks;
  into[at + scratchBase] = scratchAt;
  into[at + scratchStride] = scratch;
  let to = at + firstArgument;
  for (let i = 0; i < values.length; i++) into[to++] = values[i]!;
  for (let i = 0; i < operands.length; i++) into[to++] = operands[i]!;
}

/** A job by itself. */
export function encodeJob(job: Job): Float64Array {
  const words = new Float64Array(jobLength(job));
  writeJob(job, words, 0);
  return words;
}
