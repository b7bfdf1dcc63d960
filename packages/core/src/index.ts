export { type ErrorCode, errorCodes, FewbitError } from './error.js';
export type { FileMapper } from './file-mapper.js';
export { fromE2m1, toE2m1 } from './float4.js';
export { fromE4m3, fromE5m2, toE4m3, toE5m2 } from './float8.js';
export { fromBf16, fromF16, toBf16, toF16 } from './float16.js';
export { firstNonFinite, type Matrix, matrix, transpose } from './matrix.js';
export { atOnce, findInStrips, inStrips, type Pausable } from './pausable.js';
export { type Random, random } from './random.js';
export { roundHalfEven } from './round.js';
export {
  type DType,
  dtypeBytes,
  elementCount,
  type FloatDType,
  firstNonFiniteStored,
  floatDTypes,
  fromFloat32,
  fromIntegers,
  isFloat,
  roundTo,
  type Tensor,
  type TensorName,
  toFloat32,
  toFloat32InStrips,
} from './tensor.js';
