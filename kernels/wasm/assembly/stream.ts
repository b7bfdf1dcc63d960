// Reads memory as fast as it comes: what benchmarks call read bandwidth.

import { taskBytes } from '../src/control';
import { integer, pointer } from './argument';

/** Arguments: x, out (4 bytes per task), number of 32-bit words. A task's result is the exclusive or of its words. */
export function stream(task: i32): void {
  let from = pointer(0) + <usize>task * taskBytes;
  const end = min(from + taskBytes, pointer(0) + ((<usize>integer(2)) << 2));
  let a = i32x4.splat(0),
    b = i32x4.splat(0),
    c = i32x4.splat(0),
    d = i32x4.splat(0);
  for (; from + 64 <= end; from += 64) {
    a = v128.xor(a, v128.load(from));
    b = v128.xor(b, v128.load(from, 16));
    c = v128.xor(c, v128.load(from, 32));
    d = v128.xor(d, v128.load(from, 48));
  }
  const all = v128.xor(v128.xor(a, b), v128.xor(c, d));
  let word = i32x4.extract_lane(all, 0) ^ i32x4.extract_lane(all, 1) ^ i32x4.extract_lane(all, 2) ^ i32x4.extract_lane(all, 3);
  for (; from < end; from += 4) word ^= load<i32>(from);
  store<i32>(pointer(1) + ((<usize>task) << 2), word);
}
