/** Of y = x·wᵀ + bias. */
export interface Operands {
  /** [·, cols] */
  readonly x: Float32Array;
  /** [·, cols], decoded. */
  readonly w: Float32Array;
  readonly cols: number;
  readonly bias?: Float32Array | undefined;
}

/**
 * ‖got − want‖ beside the size that such a product has on average: √(‖x‖²·‖w‖²/cols + the bias of each row of x). Beside ‖want‖ itself, the few sums that happen to
 * cancel out would decide: of a product of one row by one row, all that there is.
 */
export function productError(got: Float32Array, want: Float32Array, { x, w, cols, bias }: Operands): number {
  const rows = x.length / cols;
  const size = Math.sqrt((squares(x) * squares(w)) / cols + (bias ? rows * squares(bias) : 0));
  let difference = 0;
  for (let i = 0; i < want.length; i++) difference += (got[i]! - want[i]!) ** 2;
  return difference === 0 ? 0 : Math.sqrt(difference) / size;
}

function squares(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value * value, 0);
}
