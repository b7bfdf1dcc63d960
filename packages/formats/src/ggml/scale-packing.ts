import type { ScalePacking } from './ggml-types.js';

/** Sub-block scales as integers, and minima where the packing has them. */
interface Scales {
  readonly scales: Int8Array;
  readonly mins: Uint8Array;
}

interface Packing {
  pack(scales: Scales, out: Uint8Array, at: number): void;
  unpack(bytes: Uint8Array, at: number, into: Scales): void;
}

/** Each writes into bytes that are zero so far. `at` is the packing's own offset in the file's bytes. */
export const scalePackings: Readonly<Record<ScalePacking, Packing>> = {
  // Q2_K: low nibble scale, high nibble min
  'nibble-pairs': {
    pack({ scales, mins }, out, at) {
      for (let j = 0; j < 16; j++) out[at + j] = scales[j]! | (mins[j]! << 4);
    },
    unpack(bytes, at, { scales, mins }) {
      for (let j = 0; j < 16; j++) {
        scales[j] = bytes[at + j]! & 15;
        mins[j] = bytes[at + j]! >> 4;
      }
    },
  },
  // Q4_K, Q5_K: six bits each; those of sub-blocks 4 … 7 in nibbles, their top two bits above the first eight bytes' six
  'six-bit-pairs': {
    pack({ scales, mins }, out, at) {
      for (let j = 0; j < 4; j++) {
        out[at + j] = scales[j]! | ((scales[j + 4]! >> 4) << 6);
        out[at + j + 4] = mins[j]! | ((mins[j + 4]! >> 4) << 6);
        out[at + j + 8] = (scales[j + 4]! & 15) | ((mins[j + 4]! & 15) << 4);
      }
    },
    unpack(bytes, at, { scales, mins }) {
      for (let j = 0; j < 4; j++) {
        const [a, b, c] = [bytes[at + j]!, bytes[at + j + 4]!, bytes[at + j + 8]!];
        scales[j] = a & 63;
        mins[j] = b & 63;
        scales[j + 4] = (c & 15) | ((a >> 6) << 4);
        mins[j + 4] = (c >> 4) | ((b >> 6) << 4);
      }
    },
  },
  // Q3_K: scale + 32; low nibbles in eight bytes, top two bits four to a byte
  'six-bit': {
    pack({ scales }, out, at) {
      for (let j = 0; j < 16; j++) {
        const s = scales[j]! + 32;
        out[at + (j % 8)]! |= (s & 15) << (j < 8 ? 0 : 4);
        out[at + 8 + (j % 4)]! |= (s >> 4) << (2 * (j >> 2));
      }
    },
    unpack(bytes, at, { scales }) {
      for (let j = 0; j < 16; j++) {
        const low = (bytes[at + (j % 8)]! >> (j < 8 ? 0 : 4)) & 15;
        const high = (bytes[at + 8 + (j % 4)]! >> (2 * (j >> 2))) & 3;
        scales[j] = (low | (high << 4)) - 32;
      }
    },
  },
  // Q6_K: int8
  bytes: {
    pack({ scales }, out, at) {
      for (let j = 0; j < 16; j++) out[at + j] = scales[j]! & 255;
    },
    unpack(bytes, at, { scales }) {
      for (let j = 0; j < 16; j++) scales[j] = bytes[at + j]!;
    },
  },
  // IQ4_XS: scale + 32; top two bits of all eight in a u16, then low nibbles two to a byte
  'iq4-xs': {
    pack({ scales }, out, at) {
      for (let j = 0; j < 8; j++) {
        const s = scales[j]! + 32;
        out[at + (j >> 2)]! |= (s >> 4) << (2 * (j & 3));
        out[at + 2 + (j >> 1)]! |= (s & 15) << (4 * (j & 1));
      }
    },
    unpack(bytes, at, { scales }) {
      for (let j = 0; j < 8; j++) {
        const high = (bytes[at + (j >> 2)]! >> (2 * (j & 3))) & 3;
        const low = (bytes[at + 2 + (j >> 1)]! >> (4 * (j & 1))) & 15;
        scales[j] = (low | (high << 4)) - 32;
      }
    },
  },
};
