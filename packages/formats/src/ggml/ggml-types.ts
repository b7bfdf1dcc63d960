/**
 * The block types of ggml that Fewbit reads and writes, as data. Source: ggml's `ggml-common.h` and `ggml-quants.c`; the layouts are
 * drawn in the table below, byte offsets inside a block.
 */

/** Bits of the codes, spread over bytes: byte c·width + l of the plane holds element (c·perByte + k)·width + l at bits k·bits. */
export interface Plane {
  /** Offset in the block. */
  readonly at: number;
  readonly width: number;
  readonly perByte: number;
  /** Bits of a code that this plane holds … */
  readonly bits: number;
  /** … from this one up. */
  readonly low: number;
}

/** How the integer scales of sub-blocks are packed. */
export type ScalePacking = 'nibble-pairs' | 'six-bit-pairs' | 'six-bit' | 'bytes' | 'iq4-xs';

interface Common {
  /** Elements and bytes of a block. */
  readonly block: number;
  readonly bytes: number;
  /** Code − zero is the level; or a table of levels by code. */
  readonly levels: { readonly zero: number; readonly top: number } | { readonly table: readonly number[] };
  readonly planes: readonly Plane[];
  /** Offset of the f16 step of the block; E8M0 types have an exponent byte there. */
  readonly d: number;
}

/** x̂ = d·level (+ m): one step for the block. */
export interface SimpleType extends Common {
  readonly kind: 'simple';
  readonly scale: 'f16' | 'e8m0';
  /** Offset of the f16 minimum, where the type has one. */
  readonly m?: number;
  readonly codes?: 'trits';
}

/** x̂ = d·scale·level (− dmin·min): sub-blocks share `d` and `dmin`, and have small integers of their own. */
export interface SuperType extends Common {
  readonly kind: 'super';
  /** Elements of a sub-block. */
  readonly sub: number;
  /** Range of the sub-blocks' scales. */
  readonly scale: { readonly low: number; readonly high: number; readonly packing: ScalePacking; readonly at: number };
  /** Offset of `dmin`, where the type has minima; they share the range of the scales. */
  readonly dmin?: number;
}

const nibbles = (at: number, width: number): Plane => ({ at, width, perByte: 2, bits: 4, low: 0 });
const pairs = (at: number, low = 0): Plane => ({ at, width: 32, perByte: 4, bits: 2, low });

/** The non-linear levels of IQ4_NL and IQ4_XS. */
const iq4 = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
/** E2M1 by code: the sign is the top bit. */
const e2m1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6];

export const ggmlTypes = {
  //      d | nibbles: element j with j + 16
  q4_0: simple(32, 18, { zero: 8, top: 15 }, [nibbles(2, 16)], 0),
  //      d | m | nibbles
  q4_1: simple(32, 20, { zero: 0, top: 15 }, [nibbles(4, 16)], 0, { m: 2 }),
  //      d | bit 4 of each element, 32 bits in order | nibbles
  q5_0: simple(32, 22, { zero: 16, top: 31 }, [nibbles(6, 16), { at: 2, width: 1, perByte: 8, bits: 1, low: 4 }], 0),
  q5_1: simple(32, 24, { zero: 0, top: 31 }, [nibbles(8, 16), { at: 4, width: 1, perByte: 8, bits: 1, low: 4 }], 0, { m: 2 }),
  //      d | int8
  q8_0: simple(32, 34, { zero: 128, top: 255 }, [{ at: 2, width: 1, perByte: 1, bits: 8, low: 0 }], 0),
  //      16 × (scale, min) nibbles | 2-bit | d | dmin
  q2_k: sup(84, 16, { zero: 0, top: 3 }, [pairs(16)], 80, { low: 0, high: 15, packing: 'nibble-pairs', at: 0 }, 82),
  //      bit 2 | low 2 bits | 16 six-bit scales | d
  q3_k: sup(110, 16, { zero: 4, top: 7 }, [pairs(32), { at: 0, width: 32, perByte: 8, bits: 1, low: 2 }], 108, {
    low: -32,
    high: 31,
    packing: 'six-bit',
    at: 96,
  }),
  //      d | dmin | 8 × six-bit (scale, min) | nibbles: element l with l + 32
  q4_k: sup(144, 32, { zero: 0, top: 15 }, [nibbles(16, 32)], 0, { low: 0, high: 63, packing: 'six-bit-pairs', at: 4 }, 2),
  //      d | dmin | 8 × six-bit (scale, min) | bit 4 | nibbles
  q5_k: sup(
    176,
    32,
    { zero: 0, top: 31 },
    [nibbles(48, 32), { at: 16, width: 32, perByte: 8, bits: 1, low: 4 }],
    0,
    { low: 0, high: 63, packing: 'six-bit-pairs', at: 4 },
    2,
  ),
  //      low nibbles | high 2 bits | 16 int8 scales | d
  q6_k: sup(210, 16, { zero: 32, top: 63 }, [nibbles(0, 64), pairs(128, 4)], 208, { low: -128, high: 127, packing: 'bytes', at: 192 }),
  iq4_nl: simple(32, 18, { table: iq4 }, [nibbles(2, 16)], 0),
  //      d | high 2 bits of 8 scales | their low nibbles | nibbles
  iq4_xs: sup(136, 32, { table: iq4 }, [nibbles(8, 16)], 0, { low: -32, high: 31, packing: 'iq4-xs', at: 2 }),
  //      five base-3 digits a byte | d
  tq1_0: simple(256, 54, { zero: 1, top: 2 }, [], 52, { codes: 'trits' }),
  //      2-bit | d
  tq2_0: simple(256, 66, { zero: 1, top: 2 }, [pairs(0)], 64),
  //      exponent | nibbles
  mxfp4: simple(32, 17, { table: e2m1 }, [nibbles(1, 16)], 0, { scale: 'e8m0' }),
} as const satisfies Readonly<Record<string, SimpleType | SuperType>>;

export type GgmlTypeName = keyof typeof ggmlTypes;
export const ggmlTypeNames = Object.keys(ggmlTypes) as readonly GgmlTypeName[];

export function ggmlType(name: GgmlTypeName): SimpleType | SuperType {
  return ggmlTypes[name];
}

function simple(
  block: number,
  bytes: number,
  levels: Common['levels'],
  planes: readonly Plane[],
  d: number,
  more: Partial<Pick<SimpleType, 'm' | 'scale' | 'codes'>> = {},
): SimpleType {
  return { kind: 'simple', block, bytes, levels, planes, d, scale: 'f16', ...more };
}

function sup(
  bytes: number,
  sub: number,
  levels: Common['levels'],
  planes: readonly Plane[],
  d: number,
  scale: SuperType['scale'],
  dmin?: number,
): SuperType {
  return { kind: 'super', block: 256, bytes, sub, levels, planes, d, scale, ...(dmin !== undefined && { dmin }) };
}
