import type { IntSpec } from '@fewbit/formats';

/** What the native binary exports (native/addon.cc). Arrays are read and written in place; nothing is checked there. */
export interface Addon {
  /** `threads` threads, the caller's among them; throws when this processor cannot run the set of kernels called `instructionSet`. */
  readonly Engine: new (
    threads: number,
    instructionSet: string,
  ) => Engine;
  /** Names of the sets of kernels that this processor can run, the fastest first. */
  instructionSets(): string[];
  /** Memory outside of JavaScript's heap, of any content; starts at a cache line. */
  allocate(bytes: number): ArrayBuffer;
  /** Where an ArrayBuffer lies; it does not move. */
  addressOf(memory: ArrayBuffer): number;
  /** Bytes of an open file in place, mapped until nobody knows them any more; undefined where the system cannot. Their ArrayBuffer begins at a page. */
  mapFile(file: number, offset: number, length: number): Uint8Array | undefined;
  /** Takes the pages of such an ArrayBuffer out of memory until they are used again; what was written to them is lost. */
  discard(pages: ArrayBuffer): void;
  /** Of what is exported. */
  readonly version: typeof addonVersion;
}

export interface Engine {
  readonly description: string;
  /** Takes in `count` numbers of commands (native/commands.h), to be run in turn. */
  submit(commands: Float64Array, count: number): void;
  /** Runs all that was submitted. Every other method does so first. */
  settle(): void;
  /** The same on a thread of its own. */
  finish(): Promise<void>;
  /** Writes x as bf16; false where that loses something. */
  shorten(x: Float32Array, out: Float32Array, count: number): boolean;
  packedBytes(...shape: QuantizedShape): number;
  levelsBytes(...shape: LevelsShape): number;
  /** y undefined: x, and only the upper triangle is added. */
  gram(x: Float32Array, y: Float32Array | undefined, into: Float64Array, rows: number, a: number, b: number): void;
  inverseCholesky(h: Float64Array, zeroed: Float64Array, n: number): boolean;
  solve(h: Float64Array, n: number, b: Float64Array, out: Float64Array, rows: number): boolean;
  subtractProduct(
    c: Float64Array,
    a: Float64Array,
    b: Float64Array,
    ...shape: [rows: number, k: number, n: number, bRow: number, cStart: number]
  ): void;
  product(a: Float64Array, b: Float64Array, out: Float64Array, rows: number, k: number, n: number): void;
  /** The exclusive or of `count` words. */
  stream(x: Float32Array, count: number): number;
  close(): void;
}

/** As in native/addon.cc; the trial of a binary compares them. */
export const addonVersion = 19;

/** As in native/kernels.h. `named`: codes name levels of a table; `stepInputs`: inputs that share a step, where scales have steps; `zero`: everyone's zero point; `activationBits`: what products round x to. */
export type QuantizedShape = readonly [
  rows: number,
  cols: number,
  group: number,
  bits: IntSpec['bits'],
  named: boolean,
  scaleType: number,
  stepInputs: number,
  origin: number,
  zero: number,
  activationBits: 8 | 16,
];

/** As in native/kernels.h: inputs per scale, bits of a code, one of `codingIds` and one of `scaleTypeIds`. */
export type LevelsShape = readonly [
  rows: number,
  cols: number,
  span: number,
  bits: 4 | 8,
  coding: number,
  scaleType: number,
  ownTables: boolean,
];

/** In the order of native/kernels.h. */
export const codingIds = { nibbles: 0, bytes: 1, integers: 2, e4m3: 3, e5m2: 4 } as const;
/** In the order of native/kernels.h. */
export const scaleTypeIds = { F32: 0, F16: 1, BF16: 2, E8M0: 3, E4M3: 4, I8: 5 } as const;
/** In the order of native/kernels.h. */
export const originIds = { zero: 0, zeros: 1, bases: 2 } as const;
/** In the order of native/kernels.h. */
export const activationIds = { silu: 0, gelu: 1, 'gelu-tanh': 2, relu: 3 } as const;
