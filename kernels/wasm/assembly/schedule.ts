// How threads share a job. The main thread writes the kernel and its arguments, then `remaining`; whoever takes a task counts it down, and the
// count taken is the task. A late thread finds nothing left, or a task of the next job with that job's arguments: both are right.
// Which thread computes a task changes nothing in its result.

import {
  failed,
  finished,
  generation,
  kernel,
  mayWait,
  remaining,
  scratchBase,
  scratchStride,
  sleepers,
  slots,
  stopped,
  waiting,
} from '../src/control';
import { runKernel } from './kernels';

/** Looks at the counter this many times before it sleeps: about 0.1 ms, longer than what lies between two ops, since waking takes longer than a small op. */
const spins = 100000;
/** Nanoseconds after which a sleeping main thread looks whether a worker has failed. */
const patience: i64 = 100_000_000;

/** A worker's life: take part in each job until told to stop. */
export function serve(thread: i32): void {
  let seen = 0;
  while (atomic.load<i32>(stopped) === 0) {
    for (let i = 0; i < spins && atomic.load<i32>(generation) === seen; i++) {}
    if (atomic.load<i32>(generation) === seen) {
      // Whoever raises `generation` after this sees a sleeper; raised before, the wait does not begin.
      atomic.add<i32>(sleepers, 1);
      atomic.wait<i32>(generation, seen, -1);
      atomic.sub<i32>(sleepers, 1);
    }
    seen = atomic.load<i32>(generation);
    takeTasks(thread);
  }
}

/** The main thread's part: announce the job, work, wait for the others; false when one of them has failed. */
export function runJob(tasks: i32, workers: i32): bool {
  atomic.store<i32>(finished, 0);
  atomic.store<i32>(remaining, tasks);
  if (workers > 0) {
    atomic.add<i32>(generation, 1);
    if (atomic.load<i32>(sleepers) > 0) atomic.notify(generation, workers);
  }
  takeTasks(0);
  for (let i = 0; i < spins && atomic.load<i32>(finished) < tasks; i++) {}
  let done = atomic.load<i32>(finished);
  while (done < tasks) {
    if (atomic.load<i32>(failed) !== 0) return false;
    if (load<i32>(mayWait)) {
      atomic.store<i32>(waiting, 1);
      atomic.wait<i32>(finished, done, patience);
      atomic.store<i32>(waiting, 0);
    }
    done = atomic.load<i32>(finished);
  }
  return true;
}

/** Tasks are counted once none is left: the main thread begins no other job before. */
function takeTasks(thread: i32): void {
  let done = 0;
  let task = atomic.sub<i32>(remaining, 1) - 1;
  while (task >= 0) {
    const scratch = <usize>load<f64>(slots + scratchBase * 8) + <usize>thread * <usize>load<f64>(slots + scratchStride * 8);
    runKernel(load<i32>(kernel), task, scratch);
    done++;
    task = atomic.sub<i32>(remaining, 1) - 1;
  }
  if (done === 0) return;
  atomic.add<i32>(finished, done);
  if (thread > 0 && atomic.load<i32>(waiting) !== 0) atomic.notify(finished, 1);
}
