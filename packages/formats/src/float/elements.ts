import { fromE2m1, fromE4m3, fromE5m2, toE2m1, toE4m3, toE5m2 } from '@fewbit/core';
import type { AffineLevels } from '../affine-levels.js';
import type { FloatSpec, NumericFormat } from '../types.js';

/** What a tile of floats shares: x̂ = element·scale. */
export interface FloatParams {
  /** Finite and positive; a float32 number. */
  readonly scale: number;
}

export interface Element {
  readonly bits: number;
  readonly largest: number;
  /** Nearest element of value ÷ scale, in float32; halves to the even code. */
  readonly encode: NumericFormat<FloatParams>['encode'];
  readonly decode: NumericFormat<FloatParams>['decode'];
  readonly round: NonNullable<NumericFormat<FloatParams>['round']>;
}

/** A small float: the bits of its mantissa, its largest number, and the smallest of full precision. */
export interface SmallFloat {
  readonly mantissa: number;
  readonly largest: number;
  readonly smallestNormal: number;
}

export const smallFloats: Readonly<Record<FloatSpec['element'], SmallFloat>> = {
  e4m3: { mantissa: 3, largest: 448, smallestNormal: 2 ** -6 },
  e5m2: { mantissa: 2, largest: 57344, smallestNormal: 2 ** -14 },
  e2m1: { mantissa: 1, largest: 6, smallestNormal: 1 },
};

/** Elements as levels under a scale. */
export function elementLevels({ bits, decode }: Element): AffineLevels<FloatParams> {
  const table = Float32Array.from({ length: 2 ** bits }, (_, code) => decode(code, { scale: 1 }, 0));
  return { table, bases: false, of: ({ scale }) => ({ scale, base: 0 }) };
}

/** One set of functions per element, not per format: a solver's call site then sees the same ones for every layer. */
export const elements: Readonly<Record<FloatSpec['element'], Element>> = {
  e4m3: {
    bits: 8,
    largest: 448,
    encode: (value, params) => toE4m3(value / params.scale),
    decode: (code, params) => Math.fround(fromE4m3(code) * params.scale),
    round: rounder(smallFloats.e4m3),
  },
  e5m2: {
    bits: 8,
    largest: 57344,
    encode: (value, params) => toE5m2(value / params.scale),
    decode: (code, params) => Math.fround(fromE5m2(code) * params.scale),
    round: rounder(smallFloats.e5m2),
  },
  e2m1: {
    bits: 4,
    largest: 6,
    encode: (value, params) => toE2m1(Math.fround(value / params.scale)),
    decode: (code, params) => Math.fround(fromE2m1(code) * params.scale),
    round: rounder(smallFloats.e2m1),
  },
};

/** Rounds by the bits of the quotient, as the conversions of core do, in one loop. */
function rounder({ mantissa, largest, smallestNormal }: SmallFloat): Element['round'] {
  const dropped = 23 - mantissa;
  const half = (1 << (dropped - 1)) - 1;
  const kept = -1 << dropped;
  const perOne = 2 ** mantissa / smallestNormal;
  return (from, to, start, end, { scale }) => {
    for (let i = start; i < end; i++) {
      f32[0] = from[i]! / scale;
      const magnitude = Math.abs(f32[0]);
      const bits = i32[0]!;
      if (magnitude < smallestNormal) f32[0] = (magnitude * perOne + halfEven - halfEven) / perOne;
      else if (magnitude >= largest) f32[0] = largest;
      else i32[0] = (bits + half + ((bits >>> dropped) & 1)) & kept;
      i32[0] = i32[0]! | (bits & signBit); // −0 keeps its sign too
      to[i] = f32[0]! * scale;
    }
  };
}

const f32 = new Float32Array(1);
const i32 = new Int32Array(f32.buffer);
const signBit = 1 << 31;

/** Added and taken away, it rounds a double below 2^51 to the nearest integer, halves to even. */
const halfEven = 1.5 * 2 ** 52;
