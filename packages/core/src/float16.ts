const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** float32 → bfloat16 bits, round half to even; NaN stays NaN (quiet). */
export function toBf16(value: number): number {
  f32[0] = value;
  const bits = u32[0]!;
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** bfloat16 bits → number, exact. */
export function fromBf16(bits: number): number {
  u32[0] = bits << 16;
  return f32[0]!;
}

/** float32 → IEEE half bits, round half to even, subnormals kept; |x| ≥ 65520 → Inf. */
export function toF16(value: number): number {
  f32[0] = value;
  const bits = u32[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and above
  if (magnitude < 0x38800000) {
    // below 2^-14: units of 2^-24; the product is exact in double precision
    f32[0] = value;
    const units = Math.abs(f32[0]!) * 16777216;
    const low = Math.floor(units);
    const rest = units - low;
    return sign | (rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** IEEE half bits → number, exact. */
export function fromF16(bits: number): number {
  const magnitude = bits & 0x7fff;
  if (magnitude < 0x400) return (bits & 0x8000 ? -1 : 1) * magnitude * 2 ** -24;
  if (magnitude > 0x7c00) return Number.NaN;
  u32[0] = ((bits & 0x8000) << 16) | (magnitude === 0x7c00 ? 0x7f800000 : (magnitude << 13) + 0x38000000);
  return f32[0]!;
}
