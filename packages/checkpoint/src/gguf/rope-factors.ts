import { FewbitError } from '@fewbit/core';

/** Divisors of the rotary frequencies: what `rope_freqs.weight` holds. */
export function ropeFactors(frequencies: Float32Array, theta: number): Float32Array {
  const size = 2 * frequencies.length;
  return frequencies.map((scaled, i) => theta ** (-(2 * i) / size) / scaled);
}

interface Llama3Scaling {
  readonly rope_type: 'llama3';
  readonly factor: number;
  readonly low_freq_factor: number;
  readonly high_freq_factor: number;
  readonly original_max_position_embeddings: number;
}

/**
 * The llama3 scaling that makes these factors: 1/((1 − s)/factor + s) with s = (original·f/2π − low)/(high − low) held to 0 … 1. Factors
 * strictly between lie on a line in f; low is 1 by choice, for only the ratios of low, high and original matter. Throws `unsupported` for others.
 */
export function llama3Scaling(factors: Float32Array, theta: number, file: string): Llama3Scaling | undefined {
  const factor = Math.max(...factors);
  if (factor === 1) return undefined;
  const size = 2 * factors.length;
  const frequency = (i: number) => theta ** (-(2 * i) / size);
  const between = [...factors.keys()].filter((i) => factors[i]! > 1.0001 && factors[i]! < 0.9999 * factor);
  const smooth = (i: number) => (1 / factors[i]! - 1 / factor) / (1 - 1 / factor);
  const scaling: Llama3Scaling = { rope_type: 'llama3', factor: tidy(factor), low_freq_factor: 1, ...thresholds() };
  const fits = factors.every((value, i) => Math.abs(factorOf(scaling, frequency(i)) / value - 1) < 1e-3);
  if (!fits) throw new FewbitError('unsupported', `${file}: rope_freqs.weight holds factors that are not those of llama3 scaling.`);
  return scaling;

  /** Two points between make a line; with fewer, high is 4 as published, and original follows from the one, or from where the factors jump. */
  function thresholds() {
    const [a = 0, b = a] = [between[0], between.at(-1)];
    if (between.length >= 2) {
      const slope = (smooth(a) - smooth(b)) / (frequency(a) - frequency(b));
      const high = 1 - 1 / (smooth(a) - slope * frequency(a));
      return { high_freq_factor: tidy(high), original_max_position_embeddings: Math.round(slope * 2 * Math.PI * (high - 1)) };
    }
    const [turns, at] = between.length === 1 ? [3 * smooth(a) + 1, a] : [4, factors.findLastIndex((value) => value <= 1.0001)];
    return { high_freq_factor: 4, original_max_position_embeddings: Math.round((turns * 2 * Math.PI) / frequency(Math.max(0, at))) };
  }
}

function factorOf(
  { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original }: Llama3Scaling,
  f: number,
) {
  const smooth = Math.min(1, Math.max(0, ((original * f) / (2 * Math.PI) - low) / (high - low)));
  return 1 / ((1 - smooth) / factor + smooth);
}

/** The nearest half where it is near: factors are float32. */
function tidy(value: number): number {
  const near = Math.round(2 * value) / 2;
  return Math.abs(near / value - 1) < 1e-3 ? near : value;
}
