import type { Draw } from './types.js';

/** The definition of the op `sample`, for one row of logits; NaN where a logit is NaN or +Inf, or all are −Inf. */
export function sampleToken(logits: Float32Array, { uniform, temperature, topK, topP, minP = 0 }: Draw): number {
  const best = likeliest(logits);
  const top = logits[best]!;
  if (!Number.isFinite(top)) return Number.NaN;
  if (temperature === 0) return best;
  const one = () => 1;
  const weights = new Float64Array(logits.length);
  for (let token = 0; token < weights.length; token++) {
    const x = (logits[token]! - top) / temperature;
    if (x >= -87) weights[token] = Math.exp(x); // as far as float32 goes
  }
  const weight = (token: number) => weights[token]!;
  let last: Place = { logit: Number.NEGATIVE_INFINITY, token: logits.length };
  const kept = (token: number) => {
    const logit = logits[token]!;
    return logit > last.logit || (logit === last.logit && token <= last.token);
  };
  if (topK !== undefined && topK < logits.length) last = lastOf(logits, kept, one, topK);
  if (topP !== undefined && topP < 1) last = lastOf(logits, kept, weight, topP * total(logits, kept, weight));
  const drawn = (token: number) => kept(token) && weight(token) >= Math.max(minP, Number.MIN_VALUE);
  let left = uniform * total(logits, drawn, weight);
  let token = best;
  for (let i = 0; i < logits.length && left >= 0; i++) {
    if (!drawn(i)) continue;
    token = i;
    left -= weight(i);
  }
  return token; // rounding can leave a sliver after the last one
}

/** A place in the order of tokens: by falling logits, and by rising ids among equals. */
interface Place {
  readonly logit: number;
  readonly token: number;
}

type Which = (token: number) => boolean;
type Measure = (token: number) => number;

/** The first NaN, or else the first of the largest logits. */
function likeliest(logits: Float32Array): number {
  let best = 0;
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i]!;
    if (logit <= most) continue;
    best = i;
    most = logit;
    if (Number.isNaN(logit)) break;
  }
  return best;
}

function total(logits: Float32Array, which: Which, measure: Measure): number {
  let sum = 0;
  for (let token = 0; token < logits.length; token++) if (which(token)) sum += measure(token);
  return sum;
}

/** Digits of a float's 32 bits, from the first: where they begin, and how many bits they have. */
const digits = [
  { shift: 21, bits: 11 },
  { shift: 10, bits: 11 },
  { shift: 0, bits: 10 },
] as const;

/**
 * The last of the fewest tokens, in their order, whose measures add up to `enough`. By the digits of their logits, as a radix sort would go: three
 * passes, however flat the logits are, where sorting would take most of a token's time for a large vocabulary.
 */
function lastOf(logits: Float32Array, which: Which, measure: Measure, enough: number): Place {
  const words = new Int32Array(logits.buffer, logits.byteOffset, logits.length);
  const sums = new Float64Array(1 << 11);
  let key = 0;
  let held = 0;
  for (const { shift, bits } of digits) {
    sums.fill(0);
    for (let token = 0; token < words.length; token++) {
      const own = keyOf(words[token]!);
      // a shift by 32 would be none
      if ((shift + bits === 32 || own >>> (shift + bits) === key) && which(token))
        sums[(own >>> shift) & ((1 << bits) - 1)]! += measure(token);
    }
    const lowest = sums.findIndex((sum) => sum > 0);
    let digit = (1 << bits) - 1;
    for (; digit > lowest && held + sums[digit]! < enough; digit--) held += sums[digit]!;
    key = ((key << bits) | digit) >>> 0;
  }
  let place: Place = { logit: 0, token: 0 };
  for (let token = 0; token < words.length && held < enough; token++) {
    if (keyOf(words[token]!) !== key || !which(token)) continue;
    place = { logit: logits[token]!, token };
    held += measure(token);
  }
  return place;
}

/** A whole number of 32 bits, without a sign, in the order of the floats; one for both zeros. */
function keyOf(word: number): number {
  if (word === -0x80000000) return 0x80000000;
  return (word ^ ((word >> 31) | 0x80000000)) >>> 0;
}

/** A draw as kernels take it: uniform, temperature, topK (0: all), topP, minP. */
export function drawNumbers({ uniform, temperature, topK = 0, topP = 1, minP = 0 }: Draw): number[] {
  return [uniform, temperature, topK, topP, minP];
}
