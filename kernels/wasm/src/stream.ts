import type { HostTensor } from '@fewbit/kernels';
import * as id from './control.js';
import type { Engine } from './engine.js';

/** `Backend.stream`: the exclusive or of a tensor's words. */
export function stream(engine: Engine, { data }: HostTensor): number {
  const tasks = Math.ceil(data.byteLength / id.taskBytes);
  const parts = engine.heap.allocate(tasks * 4);
  engine.run(id.stream, tasks, [data.byteOffset, parts, data.length]);
  engine.settle();
  const result = new Int32Array(engine.heap.memory.buffer, parts, tasks).reduce((word, part) => word ^ part, 0);
  engine.heap.free(parts);
  return result;
}
