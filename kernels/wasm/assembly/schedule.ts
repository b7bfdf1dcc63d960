// How threads share a job. The main thread writes the kernel and its arguments, then `remaining`; whoever takes a task counts it down, and the
// count taken is the task. A late thread finds nothing left, or a task of the next job with that job's arguments: both are right.
// Which thread computes a task changes nothing in its result.

import { failed, finished, generation, kernel, remaining, scratchBase, scratchStride, slots, stopped } from '../src/control';
import { runKernel } from './kernels';

/** Looks at the counter this many times before it sleeps: some tens of microseconds, about as long as the gap between two ops. */
const spins = 20000;
/** Nanoseconds after which a sleeping main thread looks whether a worker has failed. */
const patience: i64 = 100_000_000;

/** A worker's life: take part in each job until told to stop. */
export function serve(thread: i32): void {
  let seen = 0;
  while (atomic.load<i32>(stopped) === 0) {
    for (let i = 0; i < spins && atomic.load<i32>(generation) === seen; i++) {}
    if (atomic.load<i32>(generation) === seen) atomic.wait<i32>(generation, seen, -1);
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
    atomic.notify(generation, workers);
  }
  takeTasks(0);
  for (let i = 0; i < spins && atomic.load<i32>(finished) < tasks; i++) {}
  let done = atomic.load<i32>(finished);
  while (done < tasks) {
    if (atomic.load<i32>(failed) !== 0) return false;
    atomic.wait<i32>(finished, done, patience);
    done = atomic.load<i32>(finished);
  }
  return true;
}

function takeTasks(thread: i32): void {
  let task = atomic.sub<i32>(remaining, 1) - 1;
  while (task >= 0) {
    const scratch = <usize>load<f64>(slots + scratchBase * 8) + <usize>thread * <usize>load<f64>(slots + scratchStride * 8);
    runKernel(load<i32>(kernel), task, scratch);
    atomic.add<i32>(finished, 1);
    atomic.notify(finished, 1);
    task = atomic.sub<i32>(remaining, 1) - 1;
  }
}
