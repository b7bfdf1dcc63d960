import type { Backend, DeviceTensor } from '../../../packages/kernels/src/index.js';

/** Runs `op` on the reference, on the backend and on one thread of it: the results differ by no more than `limit` (relative L2; 0: the same bits), with threads not at all. */
export type Agrees = (
  inputs: [shape: number[], data: Float32Array][],
  limit: number,
  op: (on: Backend, tensors: DeviceTensor[]) => DeviceTensor,
) => Promise<void>;
