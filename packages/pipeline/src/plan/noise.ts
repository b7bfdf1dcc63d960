import { random } from '@fewbit/core';

/** Values drawn before they repeat: a prime, so that no two rows of a matrix are the same. */
const period = 4099;

/** Normal values, the same each time: speed does not depend on which. */
export function noise(count: number): Float32Array {
  const { normal } = random(1);
  const values = new Float32Array(count);
  for (let i = 0; i < Math.min(count, period); i++) values[i] = normal();
  for (let i = period; i < count; i++) values[i] = values[i - period]!;
  return values;
}
