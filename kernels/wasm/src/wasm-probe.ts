import type { Backend, BackendProbe } from '@fewbit/kernels';
import { fastestBuild } from './load-build.js';
import { selfTest } from './self-test.js';
import { wasmBackend } from './wasm-backend.js';

/** WebAssembly SIMD on `threads` threads over one shared memory. */
export const wasmProbe: BackendProbe = async ({ threads }) => {
  try {
    return await passed(await wasmBackend(await fastestBuild(), threads));
  } catch (error) {
    return { unavailable: error instanceof Error ? error.message : String(error) };
  }
};

/** The backend, whose products are right; else throws what is wrong, once its workers have ended. */
export async function passed(backend: Backend): Promise<Backend> {
  try {
    const failure = await selfTest(backend);
    if (failure === undefined) return backend;
    throw new Error(`${failure}: build @fewbit/kernels-wasm or install it again, or take another version of this JavaScript engine`);
  } catch (error) {
    await backend.close();
    throw error;
  }
}
