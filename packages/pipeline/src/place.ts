import { type Matrix, matrix } from '@fewbit/core';
import type { Backend, DeviceTensor } from '@fewbit/kernels';

/** Where a tensor of a sequence stays between two stages: in the backend's memory, the host's, or a file. */
export interface Place {
  /** Runs `body` with what is here, in the backend's memory until `body` ends; undefined where nothing is. */
  lend<R>(body: (tensor: DeviceTensor | undefined) => Promise<R>): Promise<R>;
  /** Takes a tensor over, in the place of what was here. The tensor is gone also when this throws. */
  put(tensor: DeviceTensor): Promise<void>;
  /** What is here, on the host, to be read at once. */
  read(): Promise<Matrix>;
  /** What is here is not needed any more. */
  clear(): void;
}

/** In the backend's memory: nothing is copied. */
export function backendPlace(backend: Backend): Place {
  let held: DeviceTensor | undefined;
  const clear = () => {
    if (held) backend.free(held);
    held = undefined;
  };
  return {
    lend: (body) => body(held),
    async put(tensor) {
      clear();
      held = tensor;
    },
    async read() {
      const [rows = 1, cols = 1] = held!.shape;
      return backend.view ? matrix(rows, cols, await backend.view(held!)) : download(backend, held!);
    },
    clear,
  };
}

/** In the host's memory, for a backend whose own is too small for all sequences. */
export function hostPlace(backend: Backend): Place {
  let held: Matrix | undefined;
  return {
    lend: (body) => lendCopy(backend, held, body),
    async put(tensor) {
      try {
        held = await download(backend, tensor);
      } finally {
        backend.free(tensor);
      }
    },
    read: async () => held!,
    clear() {
      held = undefined;
    },
  };
}

/** Runs `body` with a copy in the backend's memory, which ends with it. */
export async function lendCopy<R>(
  backend: Backend,
  held: Matrix | undefined,
  body: (tensor: DeviceTensor | undefined) => Promise<R>,
): Promise<R> {
  const copy = held && upload(backend, held);
  try {
    return await body(copy);
  } finally {
    if (copy) backend.free(copy);
  }
}

export function upload(backend: Backend, { rows, cols, data }: Matrix): DeviceTensor {
  return backend.upload(data, [rows, cols]);
}

export async function download(backend: Backend, tensor: DeviceTensor): Promise<Matrix> {
  const [rows = 1, cols = 1] = tensor.shape;
  return matrix(rows, cols, await backend.download(tensor));
}
