import {
  type ActivationRounding,
  type FloatSpec,
  type IntParams,
  type IntSpec,
  type NvParams,
  type SmallFloat,
  smallFloats,
} from '@fewbit/formats';

/** How a kernel finds the scale of a run of inputs and what it rounds to. */
export const roundingKinds = {
  /** Integers around 0: scale = absmax ÷ steps. */
  symmetric: 0,
  /** Integers over min … max, 0 among them: scale = (max − min) ÷ steps. */
  asymmetric: 1,
  /** Integers of LLM.int8(), from values rounded to half precision. */
  halves: 2,
  /** Small floats: scale = absmax ÷ steps. */
  float: 3,
  /** Small floats under a power of two, whose exponent is that of absmax less `steps`. */
  power: 4,
  /** Small floats under an E4M3 number ÷ divisor, that number being the nearest to divisor·(absmax ÷ steps), 0.125 for 0. */
  nested: 5,
} as const;

/** An `ActivationRounding` as numbers, for kernels; the formats of `@fewbit/formats` say what is computed with them, in float32. */
export interface RoundingShape {
  readonly kind: (typeof roundingKinds)[keyof typeof roundingKinds];
  /** Inputs of a token that share a scale; the last run may be shorter. */
  readonly group: number;
  readonly steps: number;
  /** Largest code; integers only. */
  readonly top: number;
  /** Code of 0; found by the kernel where `kind` is asymmetric and the scale is not given. */
  readonly zero: number;
  /** Of a run of zeros. */
  readonly emptyScale: number;
  /** Stored; 0 where every run has its own. */
  readonly scale: number;
  /** The tensor's, where `kind` is nested; 0 otherwise. */
  readonly divisor: number;
  /** Small floats only; zeros otherwise. */
  readonly element: SmallFloat;
  /** Features with an |x| that reaches it stay as they are; 0: none does. */
  readonly outlierThreshold: number;
}

/** The rounding of x [·, cols] as numbers, or undefined for one that is left to the reference. */
export function roundingShape({ spec, params }: ActivationRounding, cols: number): RoundingShape | undefined {
  const { format, scaling, outlierThreshold = 0, perHead } = spec;
  if (perHead || (format.kind !== 'int' && format.kind !== 'float')) return undefined;
  const group = groupOf(format, scaling, cols);
  const grid = format.kind === 'int' ? integers(format) : floats(format);
  if (!grid || group === undefined) return undefined;
  const { scale = 0, zero = grid.zero, divisor = 0 } = (params ?? {}) as Partial<IntParams & NvParams>;
  if (scaling === 'local') return { ...grid, group, scale: 0, zero: 0, divisor, outlierThreshold };
  if (grid.kind === roundingKinds.nested) return undefined;
  // absmaxes are more than a scale, and a power of two may be stored as one
  if (params !== undefined && grid.kind === roundingKinds.halves) return undefined;
  return { ...grid, group, scale, zero, divisor: 0, outlierThreshold };
}

type Grid = Omit<RoundingShape, 'group' | 'scale' | 'divisor' | 'outlierThreshold'>;

function groupOf({ granularity }: IntSpec | FloatSpec, scaling: string, cols: number): number | undefined {
  if (scaling === 'static') return granularity.kind === 'tensor' ? cols : undefined;
  if (granularity.kind === 'channel') return cols;
  return granularity.kind === 'group' ? granularity.size : undefined;
}

const none: SmallFloat = { mantissa: 0, largest: 0, smallestNormal: 0 };

function integers({ bits, scheme, scaleType }: IntSpec): Grid | undefined {
  const top = 2 ** bits - 1;
  const zero = 2 ** (bits - 1);
  const around = (steps: number): Grid => ({
    kind: roundingKinds.symmetric,
    ...{ steps, top, zero, emptyScale: Math.fround(1 / steps), element: none },
  });
  if (scheme === 'symmetric-absmax') return { ...around(zero - 1), kind: roundingKinds.halves };
  if (scaleType !== 'F32') return undefined;
  if (scheme === 'symmetric-full') return around(top / 2);
  if (scheme === 'symmetric-restricted') return around(zero - 1);
  return scheme === 'asymmetric' ? { ...around(top), kind: roundingKinds.asymmetric } : undefined;
}

function floats({ element: name, scaleType }: FloatSpec): Grid | undefined {
  const element = smallFloats[name];
  const grid = { top: 0, zero: 0, element };
  if (scaleType === 'F32') return { ...grid, kind: roundingKinds.float, steps: element.largest, emptyScale: 2 ** -23 };
  if (scaleType === 'E4M3') return { ...grid, kind: roundingKinds.nested, steps: element.largest, emptyScale: 0 };
  if (scaleType === 'E8M0') return { ...grid, kind: roundingKinds.power, steps: Math.floor(Math.log2(element.largest)), emptyScale: 0 };
  return undefined;
}
