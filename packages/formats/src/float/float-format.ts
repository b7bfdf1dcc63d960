/** Small floats under shared scales: FP8, and the microscaling formats MXFP4, MXFP8 and NVFP4. */
import type { FloatSpec, NumericFormat } from '../types.js';
import type { FloatParams } from './elements.js';
import { mxFormat } from './mx-format.js';
import { nvFormat } from './nv-format.js';
import { scaledFormat } from './scaled-format.js';

/** Floats as `spec` says; a code is the element's byte (its nibble for E2M1). The spec is trusted: `createFormat` checks it. */
export function floatFormat(spec: FloatSpec): NumericFormat<FloatParams> {
  if (spec.scaleType === 'E8M0') return mxFormat(spec);
  if (spec.scaleType === 'E4M3') return nvFormat(spec) as NumericFormat<FloatParams>;
  return scaledFormat(spec, spec.scaleType);
}
