/** Levels that tiles share but for scale and base: x̂ = scale·table[code] + base, as `decode` has it but for the rounding of each step. */
export interface AffineLevels<P = unknown> {
  /** By code, exact in float32. */
  readonly table: Float32Array;
  /** Inputs of a row that share a scale, from the start of the tile on. Default: all of the tile. */
  readonly span?: number;
  /** Whether some bases are not 0. */
  readonly bases: boolean;
  /** Of the tile's span number `span`. */
  of(params: P, span: number): { readonly scale: number; readonly base: number };
  /** Where scales and bases are whole numbers of a byte, each times a step that the tile has in f16: those steps. */
  steps?(params: P): { readonly scale: number; readonly base: number };
  /** Where scales are numbers of E4M3 over a divisor: that divisor, which the tiles of a bound matrix share. */
  divisor?(params: P): number;
}
