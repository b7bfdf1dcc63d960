export type { Activation, Algebra, AttentionOptions, Backend, BackendProbe, DeviceTensor, Ops, Rotary } from './types.js';
