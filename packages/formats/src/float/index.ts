export { type FloatParams, type SmallFloat, smallFloats } from './elements.js';
export { floatFormat } from './float-format.js';
export { fromE8m0, toE8m0 } from './mx-format.js';
export { type NvParams, nvParams } from './nv-format.js';
