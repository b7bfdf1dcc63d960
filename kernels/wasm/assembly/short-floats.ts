// float16, bfloat16 and the floats of 8 bits: weights in them are widened in registers.

import { madd, sum } from './vector';

/** From memory: constants that a loop would otherwise make anew. */
const halfBits = memory.data<u32>([0x8fffe000, 0x8fffe000, 0x8fffe000, 0x8fffe000], 16);
const halfBias = memory.data<f32>([5.192296858534828e33, 5.192296858534828e33, 5.192296858534828e33, 5.192296858534828e33], 16);

/**
 * Four float16, each sign-extended in a 32-bit lane, as float32: exponent and fraction in place, then the bias by a multiplication with 2¹¹², which makes
 * subnormal numbers right as well.
 */
export function widenHalves(words: v128): v128 {
  return f32x4.mul(v128.and(i32x4.shl(words, 13), v128.load(halfBits)), v128.load(halfBias));
}

/**
 * A code of 8 bits in the upper half of 16, shifted right by `shift` with its sign and masked, has its bits where the upper half of a float32 has them; a multiplication by the bias,
 * 2 to the difference of the exponents' biases, makes it its value, subnormal numbers too.
 */
export const shiftE4m3: i32 = 4;
export const maskE4m3: i16 = <i16>0x87f0;
export const biasE4m3: f32 = 1.329227995784916e36;
export const shiftE5m2: i32 = 3;
export const maskE5m2: i16 = <i16>0x8fe0;
export const biasE5m2: f32 = 5.192296858534828e33;

const highHalf = memory.data<u32>([0xffff0000, 0xffff0000, 0xffff0000, 0xffff0000], 16);

/** Row `from` of a bf16 matrix, `count` values, as float32. */
export function widenRow(from: usize, count: i32, to: usize): void {
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    v128.store(to, i32x4.shl(v128.load16x4_u(from), 16));
    from += 8;
    to += 16;
  }
  for (; i < count; i++) {
    store<u32>(to, (<u32>load<u16>(from)) << 16);
    from += 2;
    to += 4;
  }
}

/** x·w for four bf16 rows, `row` bytes apart → four floats: Σ over even and over odd inputs, each in four lanes. */
export function fourDots(x: usize, w: usize, row: usize, k: i32): v128 {
  const mask = v128.load(highHalf);
  const w1 = w + row;
  const w2 = w1 + row;
  const w3 = w2 + row;
  let even0 = f32x4.splat(0),
    even1 = f32x4.splat(0),
    even2 = f32x4.splat(0),
    even3 = f32x4.splat(0);
  let odd0 = f32x4.splat(0),
    odd1 = f32x4.splat(0),
    odd2 = f32x4.splat(0),
    odd3 = f32x4.splat(0);
  const whole = <usize>(k & ~7) * 2;
  let at: usize = 0;
  for (; at < whole; at += 16) {
    const low = v128.load(x + at * 2);
    const high = v128.load(x + at * 2, 16);
    const even = v128.shuffle<f32>(low, high, 0, 2, 4, 6);
    const odd = v128.shuffle<f32>(low, high, 1, 3, 5, 7);
    const pairs0 = v128.load(w + at);
    even0 = madd(i32x4.shl(pairs0, 16), even, even0);
    odd0 = madd(v128.and(pairs0, mask), odd, odd0);
    const pairs1 = v128.load(w1 + at);
    even1 = madd(i32x4.shl(pairs1, 16), even, even1);
    odd1 = madd(v128.and(pairs1, mask), odd, odd1);
    const pairs2 = v128.load(w2 + at);
    even2 = madd(i32x4.shl(pairs2, 16), even, even2);
    odd2 = madd(v128.and(pairs2, mask), odd, odd2);
    const pairs3 = v128.load(w3 + at);
    even3 = madd(i32x4.shl(pairs3, 16), even, even3);
    odd3 = madd(v128.and(pairs3, mask), odd, odd3);
  }
  let sums = f32x4.splat(sum(f32x4.add(even0, odd0)));
  sums = f32x4.replace_lane(sums, 1, sum(f32x4.add(even1, odd1)));
  sums = f32x4.replace_lane(sums, 2, sum(f32x4.add(even2, odd2)));
  sums = f32x4.replace_lane(sums, 3, sum(f32x4.add(even3, odd3)));
  for (const end = <usize>k * 2; at < end; at += 2) {
    const words = i32x4(load<u16>(w + at), load<u16>(w1 + at), load<u16>(w2 + at), load<u16>(w3 + at));
    sums = f32x4.add(sums, f32x4.mul(v128.load32_splat(x + at * 2), i32x4.shl(words, 16)));
  }
  return sums;
}
