/**
 * The 8-bit floats of the OCP Microscaling specification (v1.0, section 5.3). E4M3 (its "FN" form): bias 7, largest 448, no infinities,
 * NaN 0x7F and 0xFF. E5M2: bias 15, largest 57344, infinities and NaN as in IEEE 754.
 */

/** Value → E4M3 byte, round half to even, subnormals and −0 kept; beyond ±448, Inf too, saturated; NaN → 0x7F. */
export function toE4m3(value: number): number {
  f32[0] = value;
  const bits = u32[0]!;
  const sign = (bits >>> 24) & 0x80;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x43e00000) return sign | (magnitude > 0x7f800000 ? 0x7f : 0x7e); // 448 and above
  if (magnitude < 0x3c800000) return sign | units(bits, 512); // below 2^-6: multiples of 2^-9
  return sign | ((magnitude + 0x7ffff + ((magnitude >>> 20) & 1) - 0x3c000000) >>> 20);
}

/** E4M3 byte → number, exact. */
export function fromE4m3(byte: number): number {
  return e4m3[byte]!;
}

/** Value → E5M2 byte, round half to even, subnormals and −0 kept; beyond ±57344, Inf too, saturated; NaN → 0x7F. */
export function toE5m2(value: number): number {
  f32[0] = value;
  const bits = u32[0]!;
  const sign = (bits >>> 24) & 0x80;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x47600000) return sign | (magnitude > 0x7f800000 ? 0x7f : 0x7b); // 57344 and above
  if (magnitude < 0x38800000) return sign | units(bits, 65536); // below 2^-14: multiples of 2^-16
  return sign | ((magnitude + 0xfffff + ((magnitude >>> 21) & 1) - 0x38000000) >>> 21);
}

/** E5M2 byte → number, exact. */
export function fromE5m2(byte: number): number {
  return e5m2[byte]!;
}

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** |x|·perOne to the nearest integer, halves to even. x is the float32 of `bits`; the product is exact in double precision. */
function units(bits: number, perOne: number): number {
  u32[0] = bits & 0x7fffffff;
  return f32[0]! * perOne + halfEven - halfEven;
}

/** Added and taken away, it rounds a double below 2^51 to the nearest integer, halves to even: there the spacing of doubles is 1. */
const halfEven = 1.5 * 2 ** 52;

const e4m3 = Float32Array.from({ length: 256 }, (_, byte) => {
  const [exponent, fraction] = [(byte >>> 3) & 15, byte & 7];
  if (exponent === 15 && fraction === 7) return Number.NaN;
  const magnitude = exponent === 0 ? fraction / 512 : (1 + fraction / 8) * 2 ** (exponent - 7);
  return byte & 0x80 ? -magnitude : magnitude;
});

const e5m2 = Float32Array.from({ length: 256 }, (_, byte) => {
  const [exponent, fraction] = [(byte >>> 2) & 31, byte & 3];
  if (exponent === 31 && fraction > 0) return Number.NaN;
  const magnitude =
    exponent === 31 ? Number.POSITIVE_INFINITY : exponent === 0 ? fraction / 65536 : (1 + fraction / 4) * 2 ** (exponent - 15);
  return byte & 0x80 ? -magnitude : magnitude;
});
