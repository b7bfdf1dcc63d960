import { dtypeBytes, inStrips, type Matrix, matrix, type Pausable, type Tensor } from '@fewbit/core';
import { type DeviceTensor, filled, type HostMemory, uploadShortened } from '@fewbit/kernels';
import type { Engine } from './addon.js';
import type { NativeFiles } from './native-files.js';
import type { NativeArray } from './native-heap.js';
import type { WeightForm } from './weight-form.js';

const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** As bf16, where that loses nothing. */
export function uploadFloats(engine: Engine, memory: HostMemory<NativeArray>, weight: Matrix): Pausable<DeviceTensor> {
  return uploadShortened(memory, weight, ({ data: { buffer, byteOffset } }, start, end) => {
    const out = new Float32Array(buffer, byteOffset + 2 * start, Math.ceil((end - start) / 2));
    return engine.shorten(weight.data.subarray(start, end), out, end - start);
  });
}

/** A float weight from the bytes of a checkpoint, which native kernels read as they are. */
export function* uploadStored(
  engine: Engine,
  memory: HostMemory<NativeArray>,
  { addressOf, isMap }: NativeFiles,
  { dtype, shape, data }: Tensor,
  inPlace: boolean,
): Pausable<DeviceTensor | undefined> {
  if ((dtype !== 'BF16' && dtype !== 'F32') || shape.length !== 2) return undefined;
  const { buffer, byteOffset, byteLength } = data;
  if (!isLittleEndian || !(buffer instanceof ArrayBuffer)) return undefined;
  const begin = addressOf(buffer);
  if ((begin + byteOffset) % dtypeBytes[dtype] !== 0) return undefined;
  if (inPlace) {
    const map = isMap(buffer) && { map: { address: begin, bytes: buffer.byteLength } };
    const form: WeightForm = { kind: dtype === 'BF16' ? 'bf16' : 'f32', ...map };
    // kernels take the address alone; it keeps the buffer
    return memory.lend(shape, Object.assign(new Float32Array(buffer, 0, 0), { address: begin + byteOffset }), byteLength, form);
  }
  const [rows, cols] = shape as [number, number];
  if (dtype === 'F32') return yield* uploadFloats(engine, memory, matrix(rows, cols, new Float32Array(buffer, byteOffset, rows * cols)));
  const tensor = memory.hold(shape, byteLength, { kind: 'bf16' } satisfies WeightForm);
  const bytes = new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, byteLength);
  return yield* filled(
    memory,
    tensor,
    inStrips(byteLength, 1, (start, end) => bytes.set(data.subarray(start, end), start)),
  );
}
