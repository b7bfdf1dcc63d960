export { type AbsmaxIntParams, absmaxIntParams } from './absmax-int-format.js';
export { type IntParams, intFormat } from './int-format.js';
