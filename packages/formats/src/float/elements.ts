import { fromE2m1, fromE4m3, fromE5m2, toE2m1, toE4m3, toE5m2 } from '@fewbit/core';
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
}

/** One pair of functions per element, not per format: a solver's call site then sees the same ones for every layer. */
export const elements: Readonly<Record<FloatSpec['element'], Element>> = {
  e4m3: {
    bits: 8,
    largest: 448,
    encode: (value, params) => toE4m3(value / params.scale),
    decode: (code, params) => Math.fround(fromE4m3(code) * params.scale),
  },
  e5m2: {
    bits: 8,
    largest: 57344,
    encode: (value, params) => toE5m2(value / params.scale),
    decode: (code, params) => Math.fround(fromE5m2(code) * params.scale),
  },
  e2m1: {
    bits: 4,
    largest: 6,
    encode: (value, params) => toE2m1(Math.fround(value / params.scale)),
    decode: (code, params) => Math.fround(fromE2m1(code) * params.scale),
  },
};
