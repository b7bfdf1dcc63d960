import { modelContract } from '@fewbit/testkit/model-contract';
import { wasmProbe } from './wasm-probe.js';

modelContract('wasm', wasmProbe);
