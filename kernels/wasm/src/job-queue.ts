import { FewbitError } from '@fewbit/core';
import { asleep, completed, failed, jobWords, laps, listening, queueBytes, queueStart, submitted } from './control.js';
import { encodeJob, type Job, jobLength, writeJob } from './job.js';
import type { ThreadWorker } from './platform.js';

/** Where jobs go. They run in the order of their coming, so memory may be used again as soon as its last job is written down. */
export interface JobQueue {
  push(job: Job): void;
  /** Has what is written down begin now, since JavaScript does something else meanwhile. */
  begin(): void;
  /** Returns once all jobs have run. */
  settle(): void;
}

/** A queue whose jobs run on other threads, and can be kept and handed in again. */
export interface DeferredQueue extends JobQueue {
  /** Resolves once all jobs that are written down now have run, while JavaScript goes on. */
  finish(): Promise<void>;
  /** What `body` writes down, for `append`: it does not run. */
  capture(body: () => void): Float64Array;
  append(jobs: Float64Array): void;
}

/** Milliseconds after which a sleeping thread looks whether a worker has failed. */
const patience = 100;
const queueWords = queueBytes / 8;
/** Jobs that are handed in at once while others are still written down: to wake threads for each would cost more than their work. */
const jobsTogether = 48;

/** Jobs of JavaScript's own thread. */
export function ownThread(memory: WebAssembly.Memory, runJob: (address: number) => number): JobQueue {
  const queue = new Float64Array(memory.buffer, queueStart, queueWords);
  return {
    push(job) {
      jobLength(job);
      writeJob(job, queue, 0);
      runJob(queueStart);
    },
    begin: () => undefined,
    settle: () => undefined,
  };
}

/** Jobs of the coordinator, which begins with them while others are still written down. What does not fit the queue waits until all in it have run. */
export function otherThread(memory: WebAssembly.Memory, coordinator: ThreadWorker): DeferredQueue {
  // Old views of a shared memory stay valid when it grows.
  const words = new Int32Array(memory.buffer);
  const queue = new Float64Array(memory.buffer, queueStart, queueWords);
  const maySleep = blockingAllowed();
  /** Jobs ever: written down, in the queue, known to have run. */
  let [written, queued, ran] = [0, 0, 0];
  /** Where the next job is written, in words. */
  let end = 0;
  /** Jobs that wait for room. */
  let outside: Float64Array[] = [];
  let captured: Float64Array[] | undefined;
  /** Calls of `finish` that have not ended, and what wakes them. */
  let finishing = 0;
  let wakes: (() => void)[] = [];
  coordinator.listen(() => {
    const all = wakes;
    wakes = [];
    for (const wake of all) wake();
  });

  const hasRoom = (length: number) => end + length <= queueWords;
  /** Counts a job of `length` words that was written where the queue ends. */
  const enqueued = (length: number) => {
    end += length;
    if (++queued % jobsTogether === 0) handIn();
  };
  /** False where the queue has no room. */
  const enqueue = (jobs: Float64Array, at: number, length: number): boolean => {
    if (!hasRoom(length)) return false;
    for (let i = 0; i < length; i++) queue[end + i] = jobs[at + i]!;
    enqueued(length);
    return true;
  };
  const handIn = () => {
    if (Atomics.exchange(words, submitted / 4, queued | 0) === (queued | 0)) return;
    if (Atomics.exchange(words, asleep / 4, 0) !== 0) Atomics.notify(words, submitted / 4);
  };
  /** Hands in what is left, and takes note of what has run. When all has, the queue begins anew, with what is outside of it. */
  const goOn = () => {
    if (Atomics.load(words, failed / 4) !== 0) throw new FewbitError('backend', 'A WebAssembly worker has failed; open the backend again.');
    handIn();
    ran = queued - ((queued - Atomics.load(words, completed / 4)) | 0);
    if (ran < queued || end === 0) return;
    words[laps / 4]!++;
    end = 0;
    let moved = 0;
    while (moved < outside.length && enqueue(outside[moved]!, 0, outside[moved]!.length)) moved++;
    outside = outside.slice(moved);
    handIn();
  };
  const sleep = () => {
    const seen = Atomics.load(words, completed / 4);
    if (seen === (queued | 0)) return;
    if (maySleep) Atomics.wait(words, completed / 4, seen, patience);
  };
  return {
    push(job) {
      if (captured) return void captured.push(encodeJob(job));
      written++;
      const length = jobLength(job);
      if (outside.length > 0 || !hasRoom(length)) return void outside.push(encodeJob(job));
      writeJob(job, queue, end);
      enqueued(length);
    },
    capture(body) {
      const jobs: Float64Array[] = [];
      captured = jobs;
      try {
        body();
      } finally {
        captured = undefined;
      }
      return joined(jobs);
    },
    append(jobs) {
      for (let at = 0, length: number; at < jobs.length; at += length) {
        length = jobs[at + jobWords]!;
        written++;
        if (outside.length > 0 || !enqueue(jobs, at, length)) outside.push(jobs.slice(at, at + length));
      }
    },
    begin: handIn,
    settle() {
      for (goOn(); ran < written; goOn()) sleep();
    },
    async finish() {
      const target = written;
      if (finishing++ === 0) coordinator.ref();
      try {
        for (goOn(); ran < target; goOn()) await allRun();
      } finally {
        if (--finishing === 0) coordinator.unref();
      }
    },
  };

  /** Resolves once all that was handed in has run, or sooner. */
  async function allRun(): Promise<void> {
    const heard = new Promise<void>((resolve) => wakes.push(resolve));
    Atomics.store(words, listening / 4, 1);
    if (Atomics.load(words, completed / 4) !== (queued | 0)) await heard;
  }
}

function joined(jobs: readonly Float64Array[]): Float64Array {
  const all = new Float64Array(jobs.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const job of jobs) {
    all.set(job, at);
    at += job.length;
  }
  return all;
}

/** False on a page's own thread, which must not sleep: there it looks again and again. */
function blockingAllowed(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1);
    return true;
  } catch {
    return false;
  }
}
