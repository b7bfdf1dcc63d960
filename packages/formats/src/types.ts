import type { Pausable, Tensor } from '@fewbit/core';
import type { AffineLevels } from './affine-levels.js';
import type { GgmlTypeName } from './ggml/ggml-types.js';
import type { ParamList } from './param-list.js';
import type { TileGrid } from './tile-grid.js';

/**
 * What shares one set of parameters: the whole matrix, an output row, `size` inputs of a row, a 2-D block, or `size` consecutive elements
 * of the row-major matrix, across rows (`flat`, as bitsandbytes has it). The last group, block or run may be ragged.
 */
export type Granularity =
  | { readonly kind: 'tensor' }
  | { readonly kind: 'channel' }
  | { readonly kind: 'group'; readonly size: number }
  | { readonly kind: 'block'; readonly rows: number; readonly cols: number }
  | { readonly kind: 'flat'; readonly size: number };

/**
 * The uniform conventions in use; they give different codes for the same weights, so each has a name.
 *
 * Codes are unsigned, 0 … 2^b − 1.
 * - `symmetric-full`: scale = 2·absmax/(2^b − 1), zero 2^(b−1): all 2^b levels, +absmax clipped by half a step (GPTQ, compressed-tensors).
 * - `symmetric-restricted`: scale = absmax/(2^(b−1) − 1), zero 2^(b−1): −absmax … +absmax, the lowest level unused (AWQ sym, SmoothQuant).
 * - `symmetric-signed`: scale = (value of largest magnitude, signed)/−2^(b−1), zero 2^(b−1): the extreme lies on the lowest level; scale may be negative (llama.cpp Q4_0).
 * - `asymmetric`: the range always holds 0; integer zero point round(−min/scale) (GPTQ, compressed-tensors).
 * - `asymmetric-free`: the range need not hold 0; the zero point is clamped into the codes (AWQ).
 * - `symmetric-absmax`: the grid of `symmetric-restricted` at 8 bits, stored as absmax and not as a scale, values rounded to half precision
 *   first (LLM.int8() of bitsandbytes).
 */
export type IntScheme =
  | 'symmetric-full'
  | 'symmetric-restricted'
  | 'symmetric-signed'
  | 'symmetric-absmax'
  | 'asymmetric'
  | 'asymmetric-free';

/** Uniform integers of 2–8 bits. Scales are rounded to `scaleType` when they are fitted, so that storing them loses nothing. */
export interface IntSpec {
  readonly kind: 'int';
  readonly bits: 2 | 3 | 4 | 5 | 6 | 7 | 8;
  readonly scheme: IntScheme;
  readonly granularity: Granularity;
  readonly scaleType: 'F32' | 'F16' | 'BF16';
}

/**
 * Floating-point elements under a shared scale: x̂ = element·scale. Scales are rounded to `scaleType` when they are fitted.
 *
 * - FP8: `e4m3` (or `e5m2`) under a float scale, of any granularity.
 * - MXFP4, MXFP8: `e2m1`, `e4m3` in groups of 32 under `E8M0`, a power of two.
 * - NVFP4: `e2m1` in groups of 16 under `E4M3` scales, which one F32 scale of the tensor multiplies.
 */
export interface FloatSpec {
  readonly kind: 'float';
  readonly element: 'e4m3' | 'e5m2' | 'e2m1';
  readonly granularity: Granularity;
  readonly scaleType: 'F32' | 'F16' | 'BF16' | 'E8M0' | 'E4M3';
}

/** A block type of ggml (llama.cpp): its blocks lie along a row, whose length they divide. */
export interface GgmlSpec {
  readonly kind: 'ggml';
  readonly type: GgmlTypeName;
}

/**
 * Uniform integers over a range that holds 0, whose scales and zero points are integers in their turn: x̂ = scale·code − scale·zero, the zero point
 * not rounded to a code. The scales of one group in `scaleRows` consecutive rows share a step and a least scale, their zero points likewise
 * (SpQR: 3 bits of each, 16 rows).
 */
export interface TwoLevelSpec {
  readonly kind: 'two-level';
  readonly bits: IntSpec['bits'];
  readonly granularity: Extract<Granularity, { kind: 'group' | 'channel' }>;
  /** Of a scale, and of a zero point. */
  readonly scaleBits: IntSpec['bits'];
  readonly scaleRows: number;
  /** Of steps and least values. */
  readonly scaleType: 'F32' | 'F16' | 'BF16';
}

/**
 * A short list of levels, which codes index.
 *
 * - `nf4`, `bnb-fp4`: the two fixed lists of bitsandbytes, 4 bits, times the absmax of the tile. `nested` stores the absmaxes themselves
 *   in 8 bits ("double quantization"). bitsandbytes has `flat` tiles of 32–4096. `bnb-fp4` is not E2M1.
 * - `fitted`: a list of 2^bits levels of its own per tile, stored as `scaleType`.
 */
export interface CodebookSpec {
  readonly kind: 'codebook';
  readonly levels: 'nf4' | 'bnb-fp4' | 'fitted';
  readonly bits: 2 | 3 | 4 | 5 | 6 | 7 | 8;
  readonly granularity: Granularity;
  /** Of absmaxes, or of levels. */
  readonly scaleType: 'F32' | 'F16' | 'BF16';
  readonly nested?: boolean;
}

/** The JSON name of a numeric format: a union of families. `createFormat`, `validateSpec` and `formatName` ask the family that `kind` names. */
export type FormatSpec = IntSpec | TwoLevelSpec | FloatSpec | CodebookSpec | GgmlSpec;

/** A tile's values, row-major rows × cols. */
export interface Tile {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float32Array | Float64Array;
}

/** Weight of each column's error (length `tile.cols`), such as the mean square of that input. */
export type Importance = Float32Array | Float64Array;

/** The size of a full tile; a `flat` one is a run of `cols` elements of the row-major matrix, across rows. */
export interface TileSize {
  readonly rows: number;
  readonly cols: number;
  readonly flat?: boolean;
}

/**
 * Numbers ↔ codes for one format. Stateless. `P` is what one tile shares (a scale and a zero point, say).
 * A solver calls `fit` once per tile and then `encode`/`decode` per element, in any order.
 */
export interface NumericFormat<P = unknown> {
  readonly spec: FormatSpec;
  /** Number of codes; every code is in 0 … levels − 1. */
  readonly levels: number;
  /** The size of a full tile in a rows × cols matrix. */
  tile(rows: number, cols: number): TileSize;
  /**
   * The format for matrices that share what all their tiles share (a tensor scale, say), taken from `weights`: one matrix, or those that
   * engines run as one. Asked for before a tile is fitted; a bound format, or one without parameters of this kind, has none.
   */
  bind?(...weights: readonly Tile[]): NumericFormat<P>;
  /** The format bound as that which `params` came from. Exists where `bind` does. */
  bindLike?(params: P): NumericFormat<P>;
  /** Parameters for a tile. `shrink` in (0, 1] narrows the fitted range, for clip search. Never NaN; an all-zero tile has usable parameters. */
  fit(tile: Tile, shrink?: number): P;
  /** `fit` for many shrinks of one tile, which is looked at once. Absent where that saves nothing. */
  fits?(tile: Tile): (shrink: number) => P;
  /** The format's own search: parameters of least Σ importance·(x − x̂)² over `tile`, at most that of `fit`'s. `fitSearched` uses it instead of shrinking. */
  search?(tile: Tile, importance?: Importance): P;
  /**
   * Second-level parameters, made once all tiles of a matrix are fitted: `params` with each as it will read back, row-major by tile, and
   * unchanged where it is settled already. A format that has it is fitted before it is swept.
   */
  settle?(params: readonly P[], grid: TileGrid): P[];
  /** Plain rounding to nearest takes its codes from params that are not yet settled, as the format's own program does. Default false. */
  readonly roundsUnsettled?: boolean;
  /** For kernels that decode on the way. Absent where codes are plain integers (`IntParams`), or every tile has levels of its own. */
  readonly affine?: AffineLevels<P>;
  /** Nearest level's code for `value`; `offset` is the row-major place in the tile. */
  encode(value: number, params: P, offset: number): number;
  /** Exact in double precision from the stored parameters, then as the reader computes it in float32. */
  decode(code: number, params: P, offset: number): number;
  /** decode(encode(x)) of `from[start … end)` into the same places of `to`, in one loop, where the place in a tile makes no difference. Default: value by value. */
  round?(from: Float32Array, to: Float32Array, start: number, end: number, params: P): void;
  /** Bits that a rows × cols matrix takes on disk, parameters counted. */
  storedBits(rows: number, cols: number): number;
}

/** A few entries of a matrix, by rows (CSR). */
export interface SparseMatrix {
  /** What values are stored as; each is exact in it, and finite. */
  readonly type: 'F32' | 'F16' | 'BF16';
  /** [rows + 1]: the entries of row r are those from starts[r] to starts[r + 1] − 1. */
  readonly starts: Uint32Array;
  /** Rising in each row. */
  readonly columns: Uint32Array;
  readonly values: Float32Array;
}

/** What every solver returns and every layout packs. One code per element, row-major; one params per tile, row-major by tile. */
export interface QuantizedMatrix<P = unknown, S extends FormatSpec = FormatSpec> {
  readonly rows: number;
  readonly cols: number;
  readonly spec: S;
  readonly codes: Uint8Array;
  readonly params: ParamList<P>;
  /** Group of each input column where it is not column ÷ size (act-order without static groups, `g_idx`). */
  readonly columnGroup?: Uint32Array;
  /**
   * Weights kept beside the codes (SqueezeLLM, SpQR). An entry is the weight itself, in the place of what its code decodes to; that code is the
   * one nearest to 0, by convention, and does not count.
   */
  readonly outliers?: SparseMatrix;
}

/** How the inputs of a linear layer are rounded while the model runs; `format` is that of x [tokens, inputs], so that `channel` is a scale per token. */
export interface ActivationSpec {
  readonly format: FormatSpec;
  /**
   * `dynamic`: params are fitted to each input as it comes. `static`: to calibration text, once; then `format` is per tensor. `local`: to each input,
   * but under a tensor scale that was fitted to calibration text (NVFP4).
   */
  readonly scaling: 'dynamic' | 'static' | 'local';
  /** LLM.int8(): features of which any |x| reaches it stay in float. Default: none does. */
  readonly outlierThreshold?: number;
  /** Of keys and values whose scaling is static: each head has params of its own. Default: one set for all heads of a layer. */
  readonly perHead?: boolean;
}

/** An `ActivationSpec` that can be applied. */
export interface ActivationRounding {
  readonly spec: ActivationSpec;
  /** Of the whole input, or a list of those of each head; present where scaling is not dynamic. */
  readonly params?: unknown;
}

/** How the keys and values of an attention layer are rounded, row by row of [tokens, heads·headSize], before they are kept and attended to. */
export interface KeyValueRounding {
  readonly keys: ActivationRounding;
  readonly values: ActivationRounding;
}

/** How a layout says that keys and values are rounded. Tensor names are local to the attention layer: `k_scale`. */
export interface KeyValueLayout {
  /** Why it cannot say that they are rounded so, or undefined. */
  rejects(spec: ActivationSpec): string | undefined;
  /** The tensors of an attention layer, beside those of its linears. */
  pack(rounding: KeyValueRounding): ReadonlyMap<string, Tensor>;
  /** The inverse of pack, for `heads` heads of keys; it takes other writers' names too. Throws `checkpoint` naming the tensor where dtype or shape do not fit. */
  unpack(tensors: ReadonlyMap<string, Tensor>, spec: ActivationSpec, heads: number): KeyValueRounding;
}

/** What a model's `quantization_config` must tell beside the formats of its modules. */
export interface DescribeOptions {
  /** Modules whose matrix has a `columnGroup`. */
  readonly columnGrouped?: ReadonlySet<string>;
  /** How the inputs of modules are rounded. */
  readonly activations?: ReadonlyMap<string, ActivationSpec>;
  /** Those that are no layers of a block: embedding and head. */
  readonly tables?: ReadonlySet<string>;
  /** How keys and values are rounded. */
  readonly keyValues?: ActivationSpec;
}

/** Bytes on disk in somebody's format, for one linear layer. Tensor names are local: `weight_packed`, not the full path. */
export interface Layout {
  readonly id: string;
  /** Types of scales that its readers take as they are, the preferred one first; absent where they take any. */
  readonly scaleTypes?: readonly IntSpec['scaleType'][];
  /** The local tensor whose type is that of integers' and floats' scales, where a config does not tell it. Default: it does. */
  readonly scaleTensor?: string;
  /** Local tensors that must hold the same in layers which an engine runs as one. Default: none. */
  readonly sharedTensors?: readonly string[];
  /** Its files hold models that are all in float too, and their writer rounds float matrices. Default: false, a float model is in no layout. */
  readonly holdsFloat?: boolean;
  /** Its readers take embeddings and heads in codes too. Default: some do not. */
  readonly holdsTables?: boolean;
  /** It holds `QuantizedMatrix.outliers`. Default: its readers know codes alone. */
  readonly holdsOutliers?: boolean;
  /** Why this layout cannot hold such a matrix, or undefined. */
  rejects(spec: FormatSpec, rows: number, cols: number): string | undefined;
  /** Why it cannot hold this matrix although it holds such ones, or undefined. */
  rejectsMatrix?(matrix: QuantizedMatrix): string | undefined;
  /** A format it holds, with parameters that `rejectsMatrix` has nothing against. Default: as it is. */
  restrict?(format: NumericFormat): NumericFormat;
  /** Which other readers refuse such a matrix although the layout can hold it, and what to do; undefined where none is known. */
  caution?(spec: FormatSpec, rows: number, cols: number): string | undefined;
  /** Why this layout cannot say that the inputs of such a matrix are rounded so, or undefined. A layout without it says nothing of inputs. */
  rejectsActivation?(activation: ActivationSpec, spec: FormatSpec): string | undefined;
  /** Absent where its files say nothing of keys and values. */
  readonly keyValues?: KeyValueLayout;
  /** What its readers do to the inputs of such a matrix in any case. */
  impliedActivation?(spec: FormatSpec): ActivationSpec | undefined;
  /** The tensors of a linear layer, its static activation's among them. */
  pack(matrix: QuantizedMatrix, activation?: ActivationRounding): ReadonlyMap<string, Tensor>;
  /** The inverse of pack: exact; `scaleType` is that of the stored scales. Pauses between strips of codes. Throws `checkpoint` naming the tensor where dtype or shape do not fit. */
  unpack(tensors: ReadonlyMap<string, Tensor>, spec: FormatSpec, rows: number, cols: number): Pausable<QuantizedMatrix>;
  /** The stored params of an activation that `LayoutReading.activation` told of. Throws `checkpoint` as `unpack` does. */
  unpackActivation?(tensors: ReadonlyMap<string, Tensor>, activation: ActivationSpec): ActivationRounding;
  /** `quantization_config` of config.json for modules quantized so; `ignored` are linear modules left in float. */
  describe(modules: ReadonlyMap<string, FormatSpec>, ignored: readonly string[], options?: DescribeOptions): Record<string, unknown>;
  /** The reverse: undefined when the config is not this layout's. */
  recognise(quantizationConfig: unknown): LayoutReading | undefined;
}

/** How to read the modules of a checkpoint that a layout recognised. */
export interface LayoutReading {
  readonly layout: Layout;
  /** The format of a module (`model.layers.0.mlp.up_proj`), or undefined when it is stored in float. */
  format(module: string): FormatSpec | undefined;
  /** How the inputs of a quantized module are rounded; undefined where they are not. */
  activation?(module: string): ActivationSpec | undefined;
  /** How keys and values are rounded in every attention layer; absent where they are not. */
  readonly keyValues?: ActivationSpec;
}
