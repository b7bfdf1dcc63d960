import { random } from '../../../packages/core/src/index.js';

/** `count` normal values of standard deviation `spread`. */
export function values(count: number, seed: number, spread = 1): Float32Array {
  const { normal } = random(seed);
  return Float32Array.from({ length: count }, () => normal() * spread);
}
