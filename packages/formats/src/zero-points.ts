import { FewbitError } from '@fewbit/core';

/** Some readers trust a config that says symmetric and never look at the zero points: both must say the same. Throws `checkpoint`. */
export function expectMiddle(name: string, zeros: Uint8Array, bits: number, groups: number): void {
  const middle = 2 ** (bits - 1);
  const bad = zeros.findIndex((zero) => zero !== middle);
  if (bad === -1) return;
  throw new FewbitError(
    'checkpoint',
    `Tensor ${name} holds the zero point ${zeros[bad]} for output ${Math.floor(bad / groups)}, group ${bad % groups}: expected ${middle}, since the config says that the ${bits} bits are symmetric.`,
  );
}
