import type { BackendProbe } from '@fewbit/kernels';
import { backendContract } from '@fewbit/testkit/backend-contract';
import { plainBuild, relaxedBuild } from './load-build.js';
import { wasmBackend } from './wasm-backend.js';
import { wasmProbe } from './wasm-probe.js';

const plainProbe: BackendProbe = async ({ threads }) => {
  const build = await plainBuild();
  return build ? wasmBackend(build, threads) : { unavailable: 'no WebAssembly SIMD' };
};

backendContract('wasm', wasmProbe);
// Where the engine has no relaxed SIMD, the probe above has run the plain build.
if (await relaxedBuild()) backendContract('wasm without fused multiply-add', plainProbe);
