import type { BackendProbe } from '@fewbit/kernels';
import { fastestBuild } from './load-build.js';
import { selfTest } from './self-test.js';
import { wasmBackend } from './wasm-backend.js';

/** WebAssembly SIMD on `threads` threads over one shared memory. */
export const wasmProbe: BackendProbe = async ({ threads }) => {
  try {
    const backend = await wasmBackend(await fastestBuild(), threads);
    const failure = await selfTest(backend);
    if (failure === undefined) return backend;
    await backend.close();
    return { unavailable: failure };
  } catch (error) {
    return { unavailable: error instanceof Error ? error.message : String(error) };
  }
};
