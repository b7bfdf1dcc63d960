import type { Backend, BackendProbe } from '@fewbit/kernels';
import { backendContract } from '@fewbit/testkit/backend-contract';
import { expect, it, vi } from 'vitest';
import { fastestBuild, plainBuild, relaxedBuild } from './load-build.js';
import { wasmBackend } from './wasm-backend.js';
import { passed, wasmProbe } from './wasm-probe.js';

const plainProbe: BackendProbe = async ({ threads }) => {
  const build = await plainBuild();
  return build ? wasmBackend(build, threads) : { unavailable: 'no WebAssembly SIMD' };
};

backendContract('wasm', wasmProbe);
// Where the engine has no relaxed SIMD, the probe above has run the plain build.
if (await relaxedBuild()) backendContract('wasm without fused multiply-add', plainProbe);

it.each([
  [
    'computes wrong products',
    /^the self-test failed: .*: build @fewbit\/kernels-wasm or install it again, or take another version of this JavaScript engine$/,
  ],
  ['throws', /^a kernel failed$/],
] as const)('a backend that %s in its self-test is closed', async (how, reason) => {
  const backend = await wasmBackend(await fastestBuild(), 2);
  const { scale, matmul } = backend.ops;
  const broken: Backend['ops']['matmul'] = (...operands) => {
    if (how === 'throws') throw new Error('a kernel failed');
    return scale(matmul(...operands), 1.01);
  };
  const close = vi.fn(backend.close);
  await expect(passed({ ...backend, ops: { ...backend.ops, matmul: broken }, close })).rejects.toThrow(reason);
  expect(close).toHaveBeenCalledTimes(1);
});
