// Relaxed SIMD multiplies signed bytes by unsigned 7-bit numbers and adds two products in 16 bits. Slots of 2 and 4 bits are such numbers once they are masked;
// codes of 8 bits are taken as two of 4. Sums in 16 bits are exact for eight products of 4-bit codes: each adds at most 2·15·127.

/** Factors by which 16-bit sums are added two by two: for codes of up to 4 bits, and for the upper halves of 8. */
export const nibbleMask = memory.data<i32>([0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f], 16);
export const ones = memory.data<i32>([0x00010001, 0x00010001, 0x00010001, 0x00010001], 16);
export const sixteens = memory.data<i32>([0x00100010, 0x00100010, 0x00100010, 0x00100010], 16);

/** x·code for sixteen bytes, added two by two. */
export function products(x: v128, codes: v128): v128 {
  return i16x8.relaxed_dot_i8x16_i7x16_s(x, codes);
}
