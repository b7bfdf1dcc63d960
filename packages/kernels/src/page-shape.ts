import { formatName } from '@fewbit/formats';
import { type RoundingShape, roundingKinds, roundingShape } from './rounding-shape.js';
import type { PageForm } from './types.js';

/** What a row of a page of a KV cache is made of, beside its scales. Kernels know them by these numbers. */
export const pageKinds = { floats: 0, halves: 1, nibbles: 2, bytes: 3, e4m3: 4, e5m2: 5 } as const;

/**
 * A page of rows of n values, as numbers for kernels. A row of `bytes` bytes is: codes, halves or floats; at `scales` a float32 for each group of
 * values; at `zeros` a byte for each, where scales have zero points of their own. The first of two codes of 4 bits is in the low half of its byte.
 */
export interface PageShape {
  readonly kind: (typeof pageKinds)[keyof typeof pageKinds];
  readonly n: number;
  readonly group: number;
  readonly ownZeros: boolean;
  /** Everyone's zero point, where they have none of their own. */
  readonly zero: number;
  readonly scales: number;
  readonly zeros: number;
  readonly bytes: number;
  /** How a row is rounded on its way into the page; absent for floats and halves. */
  readonly rounding?: RoundingShape;
}

/** Bytes behind a page's last row, so that whole vectors can be read. */
export const pageSlack = 64;

/** The page of rows of n values that holds them so, or why kernels have none. */
export function pageShape(form: PageForm | 'f32', n: number): PageShape | string {
  if (form === 'f32') return laidOut({ kind: pageKinds.floats, n, group: n, ownZeros: false, zero: 0 }, 32);
  if (form === 'f16') return laidOut({ kind: pageKinds.halves, n, group: n, ownZeros: false, zero: 0 }, 16);
  const rounding = roundingShape(form, n);
  const kind = rounding && kindOf(form, rounding, n);
  if (!rounding || kind === undefined) return `keys and values rounded by ${formatName(form.spec.format)} have no pages`;
  const ownZeros = rounding.kind === roundingKinds.asymmetric && !rounding.given;
  const group = Math.min(n, rounding.group);
  return { ...laidOut({ kind, n, group, ownZeros, zero: rounding.zero }, kind === pageKinds.nibbles ? 4 : 8), rounding };
}

function laidOut(shape: Omit<PageShape, 'scales' | 'zeros' | 'bytes'>, width: number): PageShape {
  const groups = width > 8 ? 0 : Math.ceil(shape.n / shape.group);
  const scales = Math.ceil((shape.n * width) / 32) * 4;
  const zeros = scales + groups * 4;
  return { ...shape, scales, zeros, bytes: Math.ceil((zeros + (shape.ownZeros ? groups : 0)) / 4) * 4 };
}

/** Undefined for codes that have no place in a page. */
function kindOf({ spec: { format } }: Exclude<PageForm, 'f16'>, { kind, top, group, rows, outlierThreshold }: RoundingShape, n: number) {
  if (outlierThreshold !== 0 || rows !== 1) return undefined;
  if (kind === roundingKinds.symmetric || kind === roundingKinds.asymmetric) {
    if (top > 15) return pageKinds.bytes;
    const even = n % 2 === 0 && (group >= n || group % 2 === 0);
    return even ? pageKinds.nibbles : undefined;
  }
  const isByte = (kind === roundingKinds.float || kind === roundingKinds.power) && format.kind === 'float' && format.element !== 'e2m1';
  return isByte ? pageKinds[format.element] : undefined;
}

/** As kernels read them. */
export function pageNumbers({ kind, n, group, ownZeros, zero, scales, zeros, bytes }: PageShape): readonly number[] {
  return [kind, n, group, Number(ownZeros), zero, scales, zeros, bytes];
}

/** As kernels read them, from `group` on: what is kept as floats or halves needs none. */
export function roundingNumbers(shape?: RoundingShape): readonly number[] {
  if (!shape) return new Array<number>(15).fill(0);
  const { group, rows, kind, steps, top, zero, emptyScale, scaleType, given, scale, element, divisor, outlierThreshold } = shape;
  return [
    ...[group, kind, steps, top, zero, emptyScale, scale],
    ...[element.mantissa, element.largest, element.smallestNormal, divisor, outlierThreshold],
    ...[rows, scaleTypes.indexOf(scaleType), Number(given)],
  ];
}

/** In the order of their numbers. */
const scaleTypes: readonly RoundingShape['scaleType'][] = ['F32', 'F16', 'BF16'];
