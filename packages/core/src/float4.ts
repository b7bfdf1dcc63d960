/** E2M1, the 4-bit float of the OCP Microscaling specification (v1.0, section 5.3.3): ±0, 0.5, 1, 1.5, 2, 3, 4, 6; bit 3 is the sign. */

/** Value → E2M1 code, round half to the even code, −0 kept; beyond ±6, Inf too, saturated. There is no NaN: it becomes 0. */
export function toE2m1(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 8 : 0;
  const x = Math.abs(value);
  if (x <= 1.25) return sign | (x <= 0.25 ? 0 : x < 0.75 ? 1 : 2);
  if (x <= 2.5) return sign | (x < 1.75 ? 3 : 4);
  return x > 2.5 ? sign | (x < 3.5 ? 5 : x <= 5 ? 6 : 7) : 0;
}

/** E2M1 code → number, exact. */
export function fromE2m1(code: number): number {
  return e2m1[code]!;
}

const e2m1 = Float32Array.of(0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6);
