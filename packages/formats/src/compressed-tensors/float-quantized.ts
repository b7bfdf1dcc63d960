/**
 * `float-quantized` and `mxfp8-quantized`, N rows (outputs), K columns (inputs), G groups:
 *
 *   weight        F8_E4M3 [N, K]
 *   weight_scale  multipliers: float [1] per tensor, [N, 1] per channel, [N, G] per group, [⌈N/rows⌉, ⌈K/cols⌉] per block;
 *                 for MXFP8 U8 [N, G], E8M0 exponents
 */
import type { Pausable, Tensor } from '@fewbit/core';
import { copied } from '../copied.js';
import { createFormat } from '../create-format.js';
import { expectTensor } from '../expect-tensor.js';
import { type FloatMatrix, packFloatScales, unpackFloatScales } from '../float-matrix.js';
import { tileGrid } from '../tile-grid.js';
import type { FloatSpec } from '../types.js';

export function packFloats({ rows, cols, spec, codes, params }: FloatMatrix): Map<string, Tensor> {
  return new Map([
    ['weight', { dtype: 'F8_E4M3', shape: [rows, cols], data: codes.slice() } as Tensor],
    ['weight_scale', packFloatScales(params, spec, scaleShape(spec, rows, cols))],
  ]);
}

export function* unpackFloats(tensors: ReadonlyMap<string, Tensor>, spec: FloatSpec, rows: number, cols: number): Pausable<FloatMatrix> {
  const { data } = expectTensor(tensors, 'weight', ['F8_E4M3'], [rows, cols]);
  const { params, stored } = yield* unpackFloatScales(tensors, 'weight_scale', spec, scaleShape(spec, rows, cols));
  return { rows, cols, spec: stored, codes: yield* copied(data), params };
}

function scaleShape(spec: FloatSpec, rows: number, cols: number): number[] {
  if (spec.granularity.kind === 'tensor') return [1];
  const { down, across } = tileGrid(createFormat(spec), rows, cols);
  return [down, across];
}
