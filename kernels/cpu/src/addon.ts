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
}

export interface Engine {
  readonly description: string;
  matmul(x: Float32Array, w: Float32Array, bias: Float32Array | undefined, out: Float32Array, m: number, k: number, n: number): void;
  /** The same for w in bf16, whose bits `w` holds two by two. */
  matmulShort(x: Float32Array, w: Float32Array, bias: Float32Array | undefined, out: Float32Array, m: number, k: number, n: number): void;
  /** Writes x as bf16; false where that loses something. */
  shorten(x: Float32Array, out: Float32Array, count: number): boolean;
  widenRows(table: Float32Array, indices: Uint32Array, out: Float32Array, rows: number, n: number): void;
  packedBytes(...shape: QuantizedShape): number;
  /** One code per byte, row-major; a scale and a zero point for each tile of tileRows × group. */
  packCodes(
    codes: Uint8Array,
    scales: Float32Array,
    zeros: Uint8Array,
    tileRows: number,
    packed: Float32Array,
    ...shape: QuantizedShape
  ): void;
  matmulQuantized(
    x: Float32Array,
    packed: Float32Array,
    bias: Float32Array | undefined,
    out: Float32Array,
    m: number,
    ...shape: QuantizedShape
  ): void;
  gram(x: Float32Array, y: Float32Array, into: Float64Array, rows: number, a: number, b: number): void;
  inverseCholesky(h: Float64Array, zeroed: Float64Array, n: number): boolean;
  solve(h: Float64Array, n: number, b: Float64Array, out: Float64Array, rows: number): boolean;
  subtractProduct(
    c: Float64Array,
    a: Float64Array,
    b: Float64Array,
    ...shape: [rows: number, k: number, n: number, bRow: number, cStart: number]
  ): void;
  product(a: Float64Array, b: Float64Array, out: Float64Array, rows: number, k: number, n: number): void;
  attention(
    q: Float32Array,
    k: Float32Array,
    v: Float32Array,
    out: Float32Array,
    m: number,
    heads: number,
    keyValueHeads: number,
    headSize: number,
    start: number,
    /** 0 for none. */
    window: number,
    scale: number,
    /** 0 for none. */
    softcap: number,
  ): void;
  rmsNorm(x: Float32Array, gain: Float32Array, out: Float32Array, rows: number, n: number, epsilon: number, gainOffset: number): void;
  layerNorm(x: Float32Array, gain: Float32Array, bias: Float32Array, out: Float32Array, rows: number, n: number, epsilon: number): void;
  rotate(
    x: Float32Array,
    out: Float32Array,
    m: number,
    width: number,
    headSize: number,
    frequencies: Float32Array,
    pairs: number,
    amplitude: number,
    start: number,
  ): void;
  add(a: Float32Array, b: Float32Array, out: Float32Array, rows: number, n: number, oneRow: boolean): void;
  scale(x: Float32Array, out: Float32Array, count: number, by: number): void;
  softcap(x: Float32Array, out: Float32Array, count: number, cap: number): void;
  activate(x: Float32Array, out: Float32Array, count: number, activation: number): void;
  gated(gate: Float32Array, up: Float32Array, out: Float32Array, count: number, activation: number): void;
  crossEntropy(logits: Float32Array, targets: Uint32Array, out: Float32Array, m: number, n: number): void;
  /** `count` floats of each of `rows` rows; `indices` chooses among the source's rows. */
  copyRows(
    from: Float32Array,
    first: number,
    stride: number,
    indices: Uint32Array | undefined,
    to: Float32Array,
    toFirst: number,
    toStride: number,
    rows: number,
    count: number,
  ): void;
  /** The exclusive or of `count` words. */
  stream(x: Float32Array, count: number): number;
  close(): void;
}

/** As in native/kernels.h. `slot`: bits that a code takes; `ownZeros`: each scale has a zero point, else `zero` is everyone's. */
export type QuantizedShape = readonly [
  rows: number,
  cols: number,
  group: number,
  slot: 2 | 4 | 8,
  scaleType: number,
  ownZeros: boolean,
  zero: number,
];

/** In the order of native/kernels.h. */
export const scaleTypeIds = { F32: 0, F16: 1, BF16: 2 } as const;
/** In the order of native/kernels.h. */
export const activationIds = { silu: 0, gelu: 1, 'gelu-tanh': 2, relu: 3 } as const;
