import {
  type AbsmaxIntParams,
  type ActivationRounding,
  createFormat,
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
  /** Integers of LLM.int8(), from values rounded to half precision; their absmax stands for a scale. */
  halves: 2,
  /** Small floats: scale = absmax ÷ steps. */
  float: 3,
  /** Small floats under a power of two, whose exponent is that of absmax less `steps`. */
  power: 4,
  /** Small floats under an E4M3 number ÷ divisor, that number being the nearest to divisor·(absmax ÷ steps), 0.125 for 0. */
  nested: 5,
  /** Integers around 0: scale = the first value of largest magnitude, with its sign, ÷ steps. */
  signed: 6,
  /** Integers over min … max, wherever they lie: scale = (max − min) ÷ steps. */
  free: 7,
} as const;

/** An `ActivationRounding` as numbers, for kernels; the formats of `@fewbit/formats` say what is computed with them, in float32. */
export interface RoundingShape {
  readonly kind: (typeof roundingKinds)[keyof typeof roundingKinds];
  /** Inputs of a token that share a scale; the last run may be shorter. */
  readonly group: number;
  /** Tokens that share it; 0: a run goes on from one token to the next. */
  readonly rows: number;
  readonly steps: number;
  /** Largest code; integers only. */
  readonly top: number;
  /** Code of 0; found by the kernel where `kind` is asymmetric or free and the scale is not given. */
  readonly zero: number;
  /** Of a run of zeros. */
  readonly emptyScale: number;
  readonly scaleType: IntSpec['scaleType'];
  /** Whether `scale` is everyone's; else every run has its own. */
  readonly given: boolean;
  readonly scale: number;
  /** The tensor's, where `kind` is nested; 0: each run takes its own for the tensor's. */
  readonly divisor: number;
  /** Small floats only; zeros otherwise. */
  readonly element: SmallFloat;
  /** Features with an |x| that reaches it stay as they are; 0: none does. */
  readonly outlierThreshold: number;
}

/** Columns of x that are rounded by themselves. */
export interface RoundingPart {
  readonly first: number;
  readonly count: number;
  readonly shape: RoundingShape;
}

/** What kernels of their own have no numbers for. */
export const roundedByReference = 'inputs in codebooks, in blocks of ggml or under two levels of scales are rounded by the reference';

/** The rounding of x [·, cols] as numbers, each head's by itself; undefined for one that is left to the reference, or that it refuses. */
export function roundingParts({ spec, params }: ActivationRounding, cols: number): readonly RoundingPart[] | undefined {
  const { perHead, ...whole } = spec;
  const owns = perHead ? (params as readonly unknown[]) : [params];
  const count = cols / owns.length;
  const parts: RoundingPart[] = [];
  for (const [head, own] of owns.entries()) {
    const shape = roundingShape({ spec: whole, params: own }, count);
    if (!shape || !Number.isInteger(count)) return undefined;
    parts.push({ first: head * count, count, shape });
  }
  return parts;
}

/** The rounding of x [·, cols] as numbers, where all its columns have the same; undefined for one that is left to the reference. */
export function roundingShape({ spec, params }: ActivationRounding, cols: number): RoundingShape | undefined {
  const { format, scaling, outlierThreshold = 0, perHead } = spec;
  if (perHead || (format.kind !== 'int' && format.kind !== 'float')) return undefined;
  const grid = gridOf(format);
  const local = scaling === 'local';
  if (local && grid.kind === roundingKinds.nested) {
    const tile = tileOf(format.granularity, cols);
    return { ...grid, ...tile, given: false, scale: 0, divisor: (params as NvParams).divisor, outlierThreshold };
  }
  const given = params !== undefined;
  if (local && !(given && format.kind === 'float' && format.granularity.kind === 'tensor')) return undefined;
  const tile = given ? tileOfAll(format.granularity, cols) : tileOf(format.granularity, cols);
  if (!tile) return undefined;
  const { scale = 0, zero = grid.zero, absmax } = (params ?? {}) as Partial<IntParams & AbsmaxIntParams>;
  const stored = grid.kind === roundingKinds.halves ? (absmax ?? 0) : scale;
  return { ...grid, ...tile, given, scale: stored, zero, divisor: 0, outlierThreshold };
}

type Granularity = IntSpec['granularity'];
type Tile = Pick<RoundingShape, 'group' | 'rows'>;

/** More tokens than there are. */
const everyRow = 2 ** 30;

function tileOf(granularity: Granularity, cols: number): Tile {
  switch (granularity.kind) {
    case 'tensor':
      return { group: cols, rows: everyRow };
    case 'channel':
      return { group: cols, rows: 1 };
    case 'group':
      return { group: granularity.size, rows: 1 };
    case 'block':
      return { group: granularity.cols, rows: granularity.rows };
    case 'flat':
      return { group: granularity.size, rows: cols % granularity.size === 0 ? 1 : 0 };
  }
}

/** Where one scale is given: the same for all tiles, but for those that want theirs from a list, which the reference refuses. */
function tileOfAll(granularity: Granularity, cols: number): Tile | undefined {
  const { rows } = tileOf(granularity, cols);
  return rows === 1 || rows === everyRow ? { group: cols, rows: 1 } : undefined;
}

type Grid = Omit<RoundingShape, 'group' | 'rows' | 'given' | 'scale' | 'divisor' | 'outlierThreshold'>;

function gridOf(format: IntSpec | FloatSpec): Grid {
  const { scale } = createFormat(format).fit({ rows: 1, cols: 1, data: Float32Array.of(0) }) as IntParams;
  return { ...(format.kind === 'int' ? integers(format) : floats(format)), emptyScale: scale };
}

const none: SmallFloat = { mantissa: 0, largest: 0, smallestNormal: 0 };

function integers({ bits, scheme, scaleType }: IntSpec): Omit<Grid, 'emptyScale'> {
  const top = 2 ** bits - 1;
  const zero = 2 ** (bits - 1);
  const grid = (kind: Grid['kind'], steps: number) => ({ kind, steps, top, zero, scaleType, element: none });
  switch (scheme) {
    case 'symmetric-full':
      return grid(roundingKinds.symmetric, top / 2);
    case 'symmetric-restricted':
      return grid(roundingKinds.symmetric, zero - 1);
    case 'symmetric-signed':
      return grid(roundingKinds.signed, -zero);
    case 'symmetric-absmax':
      return grid(roundingKinds.halves, zero - 1);
    case 'asymmetric':
      return grid(roundingKinds.asymmetric, top);
    case 'asymmetric-free':
      return grid(roundingKinds.free, top);
  }
}

function floats({ element: name, scaleType }: FloatSpec): Omit<Grid, 'emptyScale'> {
  const element = smallFloats[name];
  const { largest } = element;
  const grid = { top: 0, zero: 0, element };
  if (scaleType === 'E4M3') return { ...grid, kind: roundingKinds.nested, steps: largest, scaleType: 'F32' };
  if (scaleType === 'E8M0') return { ...grid, kind: roundingKinds.power, steps: Math.floor(Math.log2(largest)), scaleType: 'F32' };
  return { ...grid, kind: roundingKinds.float, steps: largest, scaleType };
}
