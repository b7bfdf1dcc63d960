/** Blocks ↔ bytes, exactly. */
import { fromF16, toF16 } from '@fewbit/core';
import type { SimpleType, SuperType } from './ggml-types.js';
import { packPlane, unpackPlane } from './planes.js';
import { scalePackings } from './scale-packing.js';
import { type BlockParams, storedBlock } from './simple-format.js';
import type { SuperParams } from './super-format.js';
import { packTrits, unpackTrits } from './trits.js';

/** Writes the block of `codes` from `at` to `out` at `outAt`, where there are zeros. */
export function packBlock(
  type: SimpleType | SuperType,
  codes: Uint8Array,
  at: number,
  params: BlockParams | SuperParams,
  out: Uint8Array,
  outAt: number,
): void {
  for (const plane of type.planes) packPlane(plane, codes, at, type.block, out, outAt);
  if (type.kind === 'super') {
    const { d, dmin, scales, mins } = params as SuperParams;
    scalePackings[type.scale.packing].pack({ scales, mins }, out, outAt + type.scale.at);
    writeHalf(out, outAt + type.d, d);
    if (type.dmin !== undefined) writeHalf(out, outAt + type.dmin, dmin);
    return;
  }
  const { d, m } = params as BlockParams;
  if (type.codes === 'trits') packTrits(codes, at, out, outAt);
  if (type.planes[0]?.bits === 8) for (let i = 0; i < type.block; i++) out[outAt + type.planes[0].at + i]! ^= 0x80; // two's complement
  if (type.scale === 'e8m0') out[outAt + type.d] = Math.log2(d) + 127;
  else writeHalf(out, outAt + type.d, d);
  if (type.m !== undefined) writeHalf(out, outAt + type.m, m);
}

/** Fills the zeros of `codes` from `at`, and returns the block's parameters. */
export function unpackBlock(
  type: SimpleType | SuperType,
  bytes: Uint8Array,
  from: number,
  codes: Uint8Array,
  at: number,
): BlockParams | SuperParams {
  for (const plane of type.planes) unpackPlane(plane, bytes, from, codes, at, type.block);
  if (type.kind === 'super') {
    const count = type.block / type.sub;
    const scales = new Int8Array(count);
    const mins = new Uint8Array(count);
    scalePackings[type.scale.packing].unpack(bytes, from + type.scale.at, { scales, mins });
    return { d: readHalf(bytes, from + type.d), dmin: type.dmin === undefined ? 0 : readHalf(bytes, from + type.dmin), scales, mins };
  }
  if (type.codes === 'trits') unpackTrits(bytes, from, codes, at);
  if (type.planes[0]?.bits === 8) for (let i = 0; i < type.block; i++) codes[at + i]! ^= 0x80;
  const d = type.scale === 'e8m0' ? readExponent(bytes[from + type.d]!) : readHalf(bytes, from + type.d);
  return storedBlock(d, type.m === undefined ? 0 : readHalf(bytes, from + type.m));
}

/** E8M0: a power of two; the last code is NaN. */
function readExponent(byte: number): number {
  return byte === 255 ? Number.NaN : 2 ** (byte - 127);
}

function writeHalf(out: Uint8Array, at: number, value: number): void {
  const bits = toF16(value);
  out[at] = bits & 255;
  out[at + 1] = bits >> 8;
}

function readHalf(bytes: Uint8Array, at: number): number {
  return fromF16(bytes[at]! | (bytes[at + 1]! << 8));
}
