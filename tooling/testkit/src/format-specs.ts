import fc from 'fast-check';
import {
  type FormatSpec,
  type GgmlTypeName,
  type Granularity,
  ggmlTypeNames,
  type IntScheme,
} from '../../../packages/formats/src/index.js';

const granularity = fc.oneof<fc.Arbitrary<Granularity>[]>(
  fc.constantFrom<Granularity>({ kind: 'channel' }, { kind: 'tensor' }, { kind: 'block', rows: 3, cols: 40 }),
  fc.constantFrom(16, 32, 64, 128, 36, 200).map((group): Granularity => ({ kind: 'group', size: group })),
);

/** Integers of a width, of every scheme. */
const integers = (bits: 2 | 3 | 4 | 5 | 6 | 7 | 8): fc.Arbitrary<FormatSpec> =>
  fc.record({
    kind: fc.constant('int' as const),
    bits: fc.constant(bits),
    scheme: fc.constantFrom<IntScheme>('symmetric-full', 'symmetric-restricted', 'symmetric-signed', 'asymmetric', 'asymmetric-free'),
    granularity,
    scaleType: fc.constantFrom('F32', 'F16', 'BF16'),
  });

const floats = (element: 'e4m3' | 'e5m2' | 'e2m1'): fc.Arbitrary<FormatSpec> =>
  fc.record({
    kind: fc.constant('float' as const),
    element: fc.constant(element),
    granularity,
    scaleType: fc.constantFrom('F32', 'BF16'),
  });

const blocks = (element: 'e4m3' | 'e2m1', size: number, scaleType: 'E8M0' | 'E4M3'): fc.Arbitrary<FormatSpec> =>
  fc.constant({ kind: 'float', element, granularity: { kind: 'group', size }, scaleType });

const codebook = (levels: 'nf4' | 'bnb-fp4'): fc.Arbitrary<FormatSpec> =>
  fc.record({
    kind: fc.constant('codebook' as const),
    levels: fc.constant(levels),
    bits: fc.constant(4 as const),
    granularity,
    scaleType: fc.constant('F32' as const),
  });

const others = {
  fp8: floats('e4m3'),
  'fp8-e5m2': floats('e5m2'),
  fp4: floats('e2m1'),
  mxfp8: blocks('e4m3', 32, 'E8M0'),
  mxfp4: blocks('e2m1', 32, 'E8M0'),
  nvfp4: blocks('e2m1', 16, 'E4M3'),
  nf4: codebook('nf4'),
  'bnb-fp4': codebook('bnb-fp4'),
  codebook: fc.record({
    kind: fc.constant('codebook' as const),
    levels: fc.constant('fitted' as const),
    bits: fc.constantFrom(2, 3, 4, 5, 6, 7, 8),
    granularity,
    scaleType: fc.constant('F16' as const),
  }),
  'two-level': fc.record({
    kind: fc.constant('two-level' as const),
    bits: fc.constantFrom(2, 3, 4, 5, 8),
    granularity: fc.constantFrom({ kind: 'channel' } as const, { kind: 'group', size: 16 } as const, { kind: 'group', size: 36 } as const),
    scaleBits: fc.constant(3 as const),
    scaleRows: fc.constantFrom(4, 16),
    scaleType: fc.constantFrom('F32', 'F16'),
  }),
} satisfies Readonly<Record<string, fc.Arbitrary<FormatSpec>>>;

const ggml = Object.fromEntries(ggmlTypeNames.map((type) => [`ggml ${type}`, fc.constant<FormatSpec>({ kind: 'ggml', type })])) as Readonly<
  Record<`ggml ${GgmlTypeName}`, fc.Arbitrary<FormatSpec>>
>;

export const integerSpecs = {
  int2: integers(2),
  int3: integers(3),
  int4: integers(4),
  int5: integers(5),
  int6: integers(6),
  int7: integers(7),
  int8: integers(8),
} as const;

/** Every format, by kind and by the name that its row in tolerances.ts has: of all granularities, schemes and types of scales. */
export const formatKinds = { integers: integerSpecs, 'other levels': others, 'ggml types': ggml } as const;

export type FormatName = keyof typeof integerSpecs | keyof typeof others | keyof typeof ggml;

export const formatSpecs: Readonly<Record<FormatName, fc.Arbitrary<FormatSpec>>> = { ...integerSpecs, ...others, ...ggml };

export const formatNames = Object.keys(formatSpecs) as FormatName[];
