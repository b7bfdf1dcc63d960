/** The 4-bit level lists of bitsandbytes (`get_4bit_type` of its functional.py), by code. */
export const levelTables = {
  /** NormalFloat (QLoRA, Dettmers et al. 2023, section 3): quantiles of the normal distribution, with an exact 0. */
  nf4: Float32Array.of(
    -1,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1,
  ),
  /** Its FP4: a sign, two exponent bits and one of fraction over 12, in an order of its own; code 8 is a second 0. */
  'bnb-fp4': Float32Array.from([0, 0.0625, 8, 12, 4, 6, 2, 3, 0, -0.0625, -8, -12, -4, -6, -2, -3], (level) => level / 12),
} as const;

/** Points half-way between neighbours of a list in rising order, in float32: a value above one belongs to the upper neighbour. */
export function halfWays(levels: Float32Array): Float32Array {
  return Float32Array.from({ length: levels.length - 1 }, (_, i) => Math.fround(levels[i]! + levels[i + 1]!) / 2);
}
