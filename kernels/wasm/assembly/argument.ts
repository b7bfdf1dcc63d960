// The arguments of the running job, by their place.

import { firstArgument, job } from '../src/control';

export function real(at: i32): f64 {
  return load<f64>(<usize>load<u32>(job) + <usize>(firstArgument + at) * 8);
}

export function integer(at: i32): i32 {
  return <i32>real(at);
}

export function pointer(at: i32): usize {
  return <usize>real(at);
}
