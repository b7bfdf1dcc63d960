export { wasmProbe } from './wasm-probe.js';
