// Relaxed SIMD multiplies signed bytes by unsigned 7-bit numbers and adds two products in 16 bits. Codes of up to 4 bits are such numbers once they are masked;
// sums in 16 bits are exact for eight products of 4-bit codes: each adds at most 2·15·127. Larger codes would soon leave them, and are multiplied in 16 bits.

export const nibbleMask = memory.data<i32>([0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f], 16);
/** Factors by which 16-bit sums are added two by two. */
export const ones = memory.data<i32>([0x00010001, 0x00010001, 0x00010001, 0x00010001], 16);

/** x·code for sixteen bytes, added two by two. */
export function products(x: v128, codes: v128): v128 {
  return i16x8.relaxed_dot_i8x16_i7x16_s(x, codes);
}
