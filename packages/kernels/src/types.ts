import type { FileMapper, Matrix, Pausable, Tensor } from '@fewbit/core';
import type { ActivationRounding, QuantizedMatrix } from '@fewbit/formats';

/** A float32 tensor in a backend's memory; row-major. Opaque: only its backend can read it. */
export interface DeviceTensor {
  readonly shape: readonly number[];
}

export type Activation = 'silu' | 'gelu' | 'gelu-tanh' | 'relu';

/** Rotary frequencies for one head; `frequencies[i]` turns the pair (i, i + length) of the first 2·length features (half-split order), radians per position. */
export interface Rotary {
  readonly frequencies: Float32Array;
  /** Multiplies cos and sin (YaRN, LongRoPE); 1 otherwise. */
  readonly amplitude: number;
}

export interface AttentionOptions {
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  /** Multiplies q·k. */
  readonly scale: number;
  /** Position of the first query row: row i sees keys 0 … start + i. */
  readonly start: number;
  /** Only the last `window` positions are seen (sliding window). */
  readonly window?: number;
  /** Scores become softcap·tanh(score/softcap) (Gemma 2). */
  readonly softcap?: number;
}

/** How a token is drawn from a row of logits. The filters apply in this order, each to what the one before left. */
export interface Draw {
  /** In [0, 1): the token is the first whose probability, added to those of all tokens before it, passes this share of what the filters leave. One below e⁻⁸⁷ of the largest is none. */
  readonly uniform: number;
  /** Divides the logits; 0 takes the first of the likeliest tokens. */
  readonly temperature: number;
  /** Only the k likeliest tokens; among equals the first. */
  readonly topK?: number;
  /** Only the fewest likeliest tokens that together hold this much probability (Holtzman et al. 2020). */
  readonly topP?: number;
  /** Only tokens at least this many times as likely as the likeliest (Nguyen et al. 2024). */
  readonly minP?: number;
}

/**
 * What a forward pass is made of. Each op returns a new tensor; the backend owns its memory and `step` frees it.
 * m is the number of tokens. Every op gives the same bits for any number of threads.
 */
export interface Ops {
  /** Rows `tokens` of table [vocabulary, n] → [m, n]. */
  embed(table: DeviceTensor, tokens: Uint32Array): DeviceTensor;
  /** x [m, k] · wᵀ, w [n, k], plus bias [n] → [m, n]. */
  matmul(x: DeviceTensor, w: DeviceTensor, bias?: DeviceTensor): DeviceTensor;
  /** Elementwise a + b; b may be one row [n] or [1, n]. */
  add(a: DeviceTensor, b: DeviceTensor): DeviceTensor;
  scale(x: DeviceTensor, by: number): DeviceTensor;
  /** x / rms(x) · (gain + gainOffset) over segments of gain.length: a gain as long as one head normalises each head by itself. */
  rmsNorm(x: DeviceTensor, gain: DeviceTensor, epsilon: number, gainOffset: number): DeviceTensor;
  layerNorm(x: DeviceTensor, gain: DeviceTensor, bias: DeviceTensor, epsilon: number): DeviceTensor;
  /** Turns the heads of x [m, heads·headSize]; row i is at position start + i. */
  rotate(x: DeviceTensor, headSize: number, rotary: Rotary, start: number): DeviceTensor;
  /**
   * Causal attention of q [m, heads·headSize] → [m, heads·headSize]. k and v come in pages of one shape [rows, keyValueHeads·headSize], one after the
   * other, for start + m positions or more.
   */
  attention(q: DeviceTensor, k: readonly DeviceTensor[], v: readonly DeviceTensor[], options: AttentionOptions): DeviceTensor;
  /** activation(gate) · up. */
  gated(gate: DeviceTensor, up: DeviceTensor, activation: Activation): DeviceTensor;
  activate(x: DeviceTensor, activation: Activation): DeviceTensor;
  /** cap·tanh(x/cap). */
  softcap(x: DeviceTensor, cap: number): DeviceTensor;
  /** Columns [start, start + count) of x [m, n]. */
  columns(x: DeviceTensor, start: number, count: number): DeviceTensor;
  /** Rows [start, start + count) of x. */
  rows(x: DeviceTensor, start: number, count: number): DeviceTensor;
  /** Writes `rows` [m, n] into `cache` [capacity, n] at row `start`, in place: the KV cache. */
  store(cache: DeviceTensor, rows: DeviceTensor, start: number): void;
  /** x [m, k] as a linear layer sees it whose activations are rounded so: codes and back, in float32, the same bits on every backend. A row with NaN or Inf becomes NaN. */
  roundActivations(x: DeviceTensor, rounding: ActivationRounding): DeviceTensor;
  /** −log softmax(logits [m, vocabulary])[target] per row → [m], nats. */
  crossEntropy(logits: DeviceTensor, targets: Uint32Array): DeviceTensor;
  /** A token for each row of logits [m, vocabulary] → [m], exact up to 2²⁴; NaN for a row that has NaN or +Inf, or nothing but −Inf. */
  sample(logits: DeviceTensor, draws: readonly Draw[]): DeviceTensor;
}

/**
 * Dense algebra for the solvers, on host arrays. Symmetric matrices are full, row-major n × n.
 * Every function gives the same bits for any number of threads.
 */
export interface Algebra {
  /** into += xᵀ·y for x [m, a], y [m, b], into [a, b]; with y === x only the upper triangle counts, what lies below it is left undefined. Products in float32, sums across calls in double. */
  gram(x: Matrix, y: Matrix, into: Float64Array): void;
  /** Upper triangular U (zeros below) with h⁻¹ = Uᵀ·U, or undefined when h [n, n] is not positive definite. `h` is kept. Reference: GPTQ (Frantar et al. 2022), section 3.3. */
  inverseCholesky(h: Float64Array, n: number): Float64Array | undefined;
  /** x with x·h = b, for symmetric positive definite h [n, n] and b [rows, n] → [rows, n]; undefined when h is not positive definite. */
  solve(h: Float64Array, n: number, b: Float64Array, rows: number): Float64Array | undefined;
  /**
   * c[:, cStart …] −= a·b: a [rows, k], b rows bRow … bRow + k − 1 of a row-major [·, n], columns from cStart to n; c [rows, n].
   * The lazy block update of the sweep.
   */
  subtractProduct(
    c: Float64Array,
    a: Float64Array,
    b: Float64Array,
    shape: { rows: number; k: number; n: number; bRow: number; cStart: number },
  ): void;
  /** a·b for a [rows, k], b [k, n] → [rows, n], in double. */
  product(a: Float64Array, b: Float64Array, rows: number, k: number, n: number): Float64Array;
}

/** What `matmul` rounds its x to before it meets codes: 16 bits err by about 2e-5 of x and count as exact, 8 bits by about 5e-3. */
export type ActivationPrecision = 'int16' | 'int8';

/**
 * Weights in forms of a backend's own: codes, or the shortest floats that hold every value. `matmul` takes such a tensor as `w`, `embed` as its
 * table; nothing else does.
 */
export interface WeightForms {
  /** Why there is no form for such a matrix (decode it then), or undefined. */
  rejects(matrix: QuantizedMatrix): string | undefined;
  /**
   * A copy of a weight [rows, cols] that lives until `free`; its values are kept exactly. Pauses between strips. Codes may be packed while JavaScript goes on: until the backend's `finish` the
   * arrays of a matrix in codes must stay as they are. Throws `usage` for a matrix that `rejects` refuses.
   * `activations`: how `matmul` rounds what meets codes, `usage` for one that the backend has not. Default 'int16'; a weight of floats is multiplied as floats in any case.
   */
  upload(weight: Matrix | QuantizedMatrix, options?: { readonly activations?: ActivationPrecision }): Pausable<DeviceTensor>;
  /**
   * A weight of BF16 or F32 [rows, cols] from the bytes that a checkpoint has; undefined where the backend cannot take them so (bytes that are not aligned, on a
   * machine of another byte order): decode it then. `inPlace`: it is used where it lies, and its bytes must stay as they are until `free`: of a mapped table only the rows
   * that are used take memory. Default: a copy, whose reading is faster (a tenth, for a product of one row). Pauses as `upload`. Absent where there is no way without float32.
   */
  uploadStored?(weight: Tensor, options?: { readonly inPlace?: boolean }): Pausable<DeviceTensor | undefined>;
  /** Ways that the backend has, and what `matmul` does to x then, in words: 'rounded to 16 bits per 128 inputs'. */
  readonly activations: Readonly<Partial<Record<ActivationPrecision, string>>>;
  /** Whether that happens for such a matrix; else `matmul` decodes its codes on the way and takes x as it is. */
  rounds(matrix: QuantizedMatrix): boolean;
}

/** How a page of a KV cache holds its rows: in half precision, or in codes, rounded as a model asks. */
export type PageForm = 'f16' | ActivationRounding;

/**
 * Pages of a KV cache in forms of a backend's own. `store` rounds what it writes there: as `roundActivations` does, 'f16' to the nearest half-precision
 * number (Inf beyond 65504). `attention` sees the rounded values, in float32. Nothing else takes such a page.
 */
export interface PageForms {
  /** Why there is no such page of rows of n values (round rows, and keep them in a tensor), or undefined. */
  rejects(form: PageForm, n: number): string | undefined;
  /** A page [rows, n] of any content, until `free`. Throws `usage` for a form that `rejects` refuses. */
  create(shape: readonly [rows: number, n: number], form: PageForm): DeviceTensor;
}

/** Whole numbers `from` … `to`. */
export interface ValueRange {
  readonly from: number;
  readonly to: number;
}

/** Ops that are written down, to be run for one set of values after another; it keeps the memory of what they make until `free`. */
export interface Recording {
  /**
   * Runs the ops for these values and puts what they make on the host, `into` memory as long as it. Takes no memory itself. Throws `usage` for values out of range and
   * memory of another length, `backend` when a tensor that the ops read was freed.
   */
  run(values: readonly number[], into: Float32Array): Promise<void>;
  free(): void;
}

/** A device with memory and a full op table. */
export interface Backend {
  readonly id: string;
  /** One line for people: instruction set, threads. */
  readonly description: string;
  readonly threads: number;
  readonly ops: Ops;
  readonly algebra: Algebra;
  /** Which backend serves each op, by name: for reports and `fewbit doctor`. */
  readonly chosen: Readonly<Record<string, string>>;
  /** Why an op is not the backend's own, or what of it is not, by name. */
  readonly rejected?: Readonly<Record<string, string>>;
  /** A copy of `data` in the backend's memory; lives until `free`, also when made inside a step. */
  upload(data: Float32Array, shape: readonly number[]): DeviceTensor;
  /** A tensor of any content, until `free`. Waits for nothing, where `upload` waits for ops that are written down. */
  empty(shape: readonly number[]): DeviceTensor;
  /** Absent where every weight is best uploaded as float32. */
  readonly weights?: WeightForms;
  /** Shows files where `weights.uploadStored` can use them. Absent where the backend cannot. */
  readonly mapper?: FileMapper;
  /** Absent where every page is best a tensor of float32. */
  readonly pages?: PageForms;
  /** Ops are only written down, and run on other threads once something is downloaded: they do not hold up JavaScript's thread. */
  readonly deferred?: boolean;
  /**
   * Writes down the ops of `body`, whose operands are linear functions of some values, without running them. `body` is called for a few values of `ranges`, with a pause
   * between the calls, and must do nothing but run ops. Of more than three values an operand may depend on one only. Undefined where they cannot be run again: an operand is no such function, an op is served while it is written down,
   * or memory is short. Absent where ops are not written down.
   */
  record?(ranges: readonly ValueRange[], body: (values: readonly number[]) => DeviceTensor): Pausable<Recording | undefined>;
  /** Resolves once all that is written down has run, ops and the packing of weights. Absent where nothing waits. */
  finish?(): Promise<void>;
  /** A copy on the host: in `into`, which must be as long, else in new memory. */
  download(tensor: DeviceTensor, into?: Float32Array): Promise<Float32Array>;
  /** The tensor's numbers where they lie, to be read until it is freed. Absent where the host cannot address the backend's memory. */
  view?(tensor: DeviceTensor): Promise<Float32Array>;
  free(tensor: DeviceTensor): void;
  /** Runs `body`, then frees every tensor that ops made in it, but for those it returns (one tensor, an array or a record of them), which pass to the step around it or live until `free`. */
  step<R>(body: () => R): R;
  /**
   * Reads a tensor once, on all threads, as fast as memory gives it, and returns the exclusive or of its 32-bit words:
   * how benchmarks measure read bandwidth.
   */
  stream?(tensor: DeviceTensor): number;
  /** Bytes in use, with those of weights that lie in mapped files. */
  readonly bytes: number;
  /** Bytes that the backend's memory can hold; absent where it is the host's. */
  readonly capacity?: number;
  close(): Promise<void>;
}

/** Tries a backend; never throws, never logs. */
export type BackendProbe = (options: { threads: number }) => Promise<Backend | { readonly unavailable: string }>;
