// How jobs run, and how threads share one. The host writes jobs down; the coordinator runs them one after the other. It names a job, then sets
// `remaining`; whoever takes a task counts it down, and the count taken is the task. A late thread finds nothing left, or a task of the next job with that
// job's arguments: both are right. Which thread computes a task changes nothing in its result.

import {
  asleep,
  completed,
  failed,
  finished,
  generation,
  helpers,
  job,
  jobKernel,
  jobTasks,
  jobWords,
  laps,
  listening,
  queueStart,
  remaining,
  scratchBase,
  scratchStride,
  sleepers,
  stopped,
  submitted,
  waiting,
} from '../src/control';
import { runKernel } from './kernels';

/** Looks at a counter this many times before it sleeps: about 0.1 ms, longer than what lies between two ops, since waking takes longer than a small op. */
const spins = 100000;
/** Nanoseconds after which a sleeping coordinator looks whether a helper has failed. */
const patience: i64 = 100_000_000;

/** A helper's life: take part in each job until told to stop. */
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

/** Of the coordinator: where the next job is, in which lap, and how many it has run. */
let next: usize = queueStart;
let lap: i32 = 0;
let done: i32 = 0;

/** The coordinator's life: runs jobs as they come. True when all have run and the host waits to hear it, false when told to stop; traps when a helper has failed. */
export function conduct(): bool {
  while (atomic.load<i32>(stopped) === 0) {
    while (atomic.load<i32>(submitted) !== done) {
      if (atomic.load<i32>(stopped) !== 0) return false;
      if (load<i32>(laps) !== lap) {
        lap = load<i32>(laps);
        next = queueStart;
      }
      if (!runJob(next)) unreachable();
      next += <usize>load<f64>(next + jobWords * 8) * 8;
      atomic.store<i32>(completed, ++done);
    }
    atomic.notify(completed, 1);
    if (atomic.xchg<i32>(listening, 0) !== 0) return true;
    for (let i = 0; i < spins && atomic.load<i32>(submitted) === done; i++) {}
    if (atomic.load<i32>(submitted) !== done) continue;
    // Whoever raises `submitted` after this sees a sleeper; raised before, the wait does not begin.
    atomic.store<i32>(asleep, 1);
    atomic.wait<i32>(submitted, done, -1);
  }
  return false;
}

/** Announces a job, works, waits for the others; false when one of them has failed. */
export function runJob(at: usize): bool {
  const tasks = <i32>load<f64>(at + jobTasks * 8);
  const others = min(load<i32>(helpers), tasks - 1);
  store<u32>(job, <u32>at);
  atomic.store<i32>(finished, 0);
  atomic.store<i32>(remaining, tasks);
  if (others > 0) {
    atomic.add<i32>(generation, 1);
    if (atomic.load<i32>(sleepers) > 0) atomic.notify(generation, others);
  }
  takeTasks(0);
  for (let i = 0; i < spins && atomic.load<i32>(finished) < tasks; i++) {}
  let done = atomic.load<i32>(finished);
  while (done < tasks) {
    if (atomic.load<i32>(failed) !== 0) return false;
    atomic.store<i32>(waiting, 1);
    atomic.wait<i32>(finished, done, patience);
    atomic.store<i32>(waiting, 0);
    done = atomic.load<i32>(finished);
  }
  return true;
}

/** Tasks are counted once none is left: the coordinator begins no other job before. */
function takeTasks(thread: i32): void {
  let done = 0;
  let task = atomic.sub<i32>(remaining, 1) - 1;
  while (task >= 0) {
    const at = <usize>load<u32>(job);
    const scratch = <usize>load<f64>(at + scratchBase * 8) + <usize>thread * <usize>load<f64>(at + scratchStride * 8);
    runKernel(<i32>load<f64>(at + jobKernel * 8), task, scratch);
    done++;
    task = atomic.sub<i32>(remaining, 1) - 1;
  }
  if (done === 0) return;
  atomic.add<i32>(finished, done);
  if (thread > 0 && atomic.load<i32>(waiting) !== 0) atomic.notify(finished, 1);
}
