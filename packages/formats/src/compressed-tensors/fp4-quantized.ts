/**
 * `nvfp4-pack-quantized` and `mxfp4-pack-quantized`, N rows (outputs), K columns (inputs), G groups of 16 or 32:
 *
 *   weight_packed        U8 [N, ⌈K/2⌉]    E2M1 nibbles, the even column in the low one
 *   weight_scale         NVFP4: F8_E4M3 [N, G]; MXFP4: U8 [N, G], E8M0 exponents
 *   weight_global_scale  NVFP4: F32 [1], the divisor: a weight is element · weight_scale ÷ weight_global_scale
 */
import { FewbitError, fromE4m3, fromFloat32, inStrips, type Pausable, type Tensor, toE4m3, toFloat32 } from '@fewbit/core';
import { createFormat } from '../create-format.js';
import { expectTensor } from '../expect-tensor.js';
import { type NvParams, nvParams } from '../float/nv-format.js';
import { type FloatMatrix, packFloatScales, requireScale, unpackFloatScales } from '../float-matrix.js';
import { packNibbles, unpackNibbles } from '../nibbles.js';
import { paramList } from '../param-list.js';
import { tileGrid } from '../tile-grid.js';
import type { FloatSpec } from '../types.js';

export function packMxfp4({ rows, cols, spec, codes, params }: FloatMatrix): Map<string, Tensor> {
  return new Map([packedWeight(codes, rows, cols), ['weight_scale', packFloatScales(params, spec, [rows, groupsOf(spec, rows, cols)])]]);
}

export function* unpackMxfp4(tensors: ReadonlyMap<string, Tensor>, spec: FloatSpec, rows: number, cols: number): Pausable<FloatMatrix> {
  const codes = yield* unpackedWeight(tensors, rows, cols);
  const { params, stored } = yield* unpackFloatScales(tensors, 'weight_scale', spec, [rows, groupsOf(spec, rows, cols)]);
  return { rows, cols, spec: stored, codes, params };
}

export function packNvfp4({ rows, cols, spec, codes, params }: FloatMatrix<NvParams>): Map<string, Tensor> {
  const { divisor } = params.at(0)!;
  const blocks = Uint8Array.from(params, (tile) => {
    if (tile.divisor !== divisor) throw new FewbitError('usage', 'The tiles of an NVFP4 matrix share one divisor.');
    return toE4m3(tile.block);
  });
  return new Map([
    packedWeight(codes, rows, cols),
    ['weight_scale', { dtype: 'F8_E4M3', shape: [rows, groupsOf(spec, rows, cols)], data: blocks }],
    ['weight_global_scale', fromFloat32(Float32Array.of(divisor), 'F32', [1])],
  ]);
}

export function* unpackNvfp4(
  tensors: ReadonlyMap<string, Tensor>,
  spec: FloatSpec,
  rows: number,
  cols: number,
): Pausable<FloatMatrix<NvParams>> {
  const codes = yield* unpackedWeight(tensors, rows, cols);
  const blocks = expectTensor(tensors, 'weight_scale', ['F8_E4M3'], [rows, groupsOf(spec, rows, cols)]).data;
  const divisor = unpackDivisor(tensors, 'weight_global_scale');
  yield* inStrips(blocks.length, 1, (start, end) => {
    for (let i = start; i < end; i++) requireScale(fromE4m3(blocks[i]!), 'weight_scale', i);
  });
  return { rows, cols, spec, codes, params: paramList(blocks.length, (i) => nvParams(fromE4m3(blocks[i]!), divisor)) };
}

/** A tensor scale, which divides. */
export function unpackDivisor(tensors: ReadonlyMap<string, Tensor>, name: string): number {
  const [divisor] = toFloat32(expectTensor(tensors, name, ['F32'], [1])) as unknown as [number];
  if (Number.isFinite(divisor) && divisor > 0) return divisor;
  throw new FewbitError('checkpoint', `Tensor ${name} holds ${divisor}: expected a positive number.`);
}

function packedWeight(codes: Uint8Array, rows: number, cols: number): [string, Tensor] {
  return ['weight_packed', { dtype: 'U8', shape: [rows, Math.ceil(cols / 2)], data: packNibbles(codes, rows, cols) }];
}

function unpackedWeight(tensors: ReadonlyMap<string, Tensor>, rows: number, cols: number): Pausable<Uint8Array> {
  return unpackNibbles(expectTensor(tensors, 'weight_packed', ['U8'], [rows, Math.ceil(cols / 2)]).data, rows, cols);
}

function groupsOf(spec: FloatSpec, rows: number, cols: number): number {
  return tileGrid(createFormat(spec), rows, cols).across;
}
