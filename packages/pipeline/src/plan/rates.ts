/** What a backend and a method do in a second, each for a second of its own. */
export interface Rates {
  /** Multiply-adds of a product of float matrices. */
  readonly product: number;
  /** Multiply-adds of causal attention. */
  readonly attention: number;
  /** Values through the rest of a block: norms, rotation, gates, sums. */
  readonly elementwise: number;
  /** Multiply-adds of each statistic, by id. */
  readonly statistics: Readonly<Record<string, number>>;
  /** Multiply-adds of Cholesky factors, and of products in double. */
  readonly factoring: number;
  readonly algebra: number;
  /** Weights that are read from the checkpoint. */
  readonly reading: number;
  /** By format: what the rounding of a weight takes, and each of the squares of a layer's inputs, beside the algebra. */
  readonly rounding: Readonly<Record<string, RoundingRate>>;
}

export interface RoundingRate {
  readonly weights: number;
  readonly squares: number;
}

/** Of one thread with AVX-512, rounded: what a progress bar goes by where nothing was measured. Only their ratios count there. */
export const typicalRates: Rates = {
  product: 5e10,
  attention: 1e10,
  elementwise: 5e8,
  statistics: {},
  factoring: 1e10,
  algebra: 2e10,
  reading: 3e8,
  rounding: {},
};

/** Where a rate is not known by name. */
export const typicalStatistic = 5e10;
export const typicalRounding: RoundingRate = { weights: 5e6, squares: 5e7 };
