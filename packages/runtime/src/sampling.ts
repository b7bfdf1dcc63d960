import { random } from '@fewbit/core';
import { checkDraw, type Draw, sampleToken } from '@fewbit/kernels';

/** How the next token is drawn; `temperature` is 0 by default, which takes the likeliest token. */
export interface SamplingOptions extends Omit<Draw, 'uniform' | 'temperature'> {
  /** Divides the logits; 0 takes the likeliest token. Default 0. */
  readonly temperature?: number;
  /** Same seed, same draws. Default 0. */
  readonly seed?: number;
}

/** A function from a row of logits to a token id. Throws `usage` for options out of range. */
export function sampler(options: SamplingOptions = {}): (logits: Float32Array) => number {
  const next = draws(options);
  return (logits) => sampleToken(logits, next());
}

/** The draws of successive tokens, for `sample` of a backend's ops. Throws `usage` for options out of range. */
export function draws({ temperature = 0, seed = 0, ...filters }: SamplingOptions = {}): () => Draw {
  checkDraw({ uniform: 0, temperature, ...filters });
  const { below } = random(seed);
  return () => ({ uniform: temperature === 0 ? 0 : below(shares) / shares, temperature, ...filters });
}

/** A draw is one of so many. */
const shares = 2 ** 32;
