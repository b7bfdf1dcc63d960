/**
 * The signed dynamic 8-bit map of bitsandbytes (`create_dynamic_map`; Dettmers et al. 2021, "8-bit optimizers via block-wise quantization",
 * section 2.3): in each of seven decades below 1 twice as many levels as in the one before, mid-points of equal parts of [0.1, 1];
 * then 0 and 1. Rising; entry 127 is 0, 255 is 1. Float32.
 */
export const dynamicMap: Float32Array = makeMap();

function makeMap(): Float32Array {
  const levels = [0, 1];
  for (let decade = 0; decade < 7; decade++) {
    const parts = 2 ** decade;
    const power = Math.fround(10 ** (decade - 6));
    for (let i = 0; i < parts; i++) {
      const middle = Math.fround(boundary(i, parts) + boundary(i + 1, parts)) / 2;
      levels.push(power * middle, -power * middle);
    }
  }
  return Float32Array.from(levels).sort();
}

/** The i-th of parts + 1 equally spaced points of [0.1, 1], in float32 as torch.linspace counts them: from the nearer end, rounded once. */
function boundary(i: number, parts: number): number {
  const start = Math.fround(0.1);
  const step = Math.fround((1 - start) / parts);
  return Math.fround(i < (parts + 1) / 2 ? start + step * i : 1 - step * (parts - i));
}
