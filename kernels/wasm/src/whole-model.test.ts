import { modelContract } from '@fewbit/testkit/model-contract';
import { quantizedModelContract } from '@fewbit/testkit/quantized-model-contract';
import { fastestBuild } from './load-build.js';
import { currentPlatform } from './platform.js';
import { wasmBackend } from './wasm-backend.js';
import { wasmProbe } from './wasm-probe.js';

modelContract('wasm', wasmProbe);
modelContract('wasm on the thread of JavaScript', async () =>
  wasmBackend(await fastestBuild(), 2, { ...currentPlatform(), startWorker: () => Promise.reject(new Error('none here')) }),
);
quantizedModelContract('wasm', wasmProbe);
