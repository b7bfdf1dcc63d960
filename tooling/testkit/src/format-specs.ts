import fc from 'fast-check';
import { type FormatSpec, type Granularity, ggmlTypeNames, type IntScheme } from '../../../packages/formats/src/index.js';

const granularity = fc.oneof<fc.Arbitrary<Granularity>[]>(
  fc.constantFrom<Granularity>({ kind: 'channel' }, { kind: 'tensor' }, { kind: 'block', rows: 3, cols: 40 }),
  fc.constantFrom(16, 32, 64, 128, 36, 200).map((group): Granularity => ({ kind: 'group', size: group })),
);
/** Integers of every width and scheme. */
export const integerSpecs: fc.Arbitrary<FormatSpec> = fc.record({
  kind: fc.constant('int' as const),
  bits: fc.constantFrom(2, 3, 4, 5, 6, 7, 8),
  scheme: fc.constantFrom<IntScheme>('symmetric-full', 'symmetric-restricted', 'symmetric-signed', 'asymmetric', 'asymmetric-free'),
  granularity,
  scaleType: fc.constantFrom('F32', 'F16', 'BF16'),
});

/** Every other kind of format. */
export const otherSpecs: fc.Arbitrary<FormatSpec> = fc.oneof(
  fc.record({
    kind: fc.constant('float' as const),
    element: fc.constantFrom('e4m3', 'e5m2', 'e2m1'),
    granularity,
    scaleType: fc.constantFrom('F32', 'BF16'),
  }),
  fc.constantFrom<FormatSpec>(
    { kind: 'float', element: 'e2m1', granularity: { kind: 'group', size: 32 }, scaleType: 'E8M0' },
    { kind: 'float', element: 'e4m3', granularity: { kind: 'group', size: 32 }, scaleType: 'E8M0' },
    { kind: 'float', element: 'e2m1', granularity: { kind: 'group', size: 16 }, scaleType: 'E4M3' },
  ),
  fc.record({
    kind: fc.constant('codebook' as const),
    levels: fc.constantFrom('nf4', 'bnb-fp4'),
    bits: fc.constant(4 as const),
    granularity,
    scaleType: fc.constant('F32' as const),
  }),
  fc.record({
    kind: fc.constant('codebook' as const),
    levels: fc.constant('fitted' as const),
    bits: fc.constantFrom(2, 3, 4, 5, 6, 7, 8),
    granularity,
    scaleType: fc.constant('F16' as const),
  }),
  fc.record({
    kind: fc.constant('two-level' as const),
    bits: fc.constantFrom(2, 3, 4, 5, 8),
    granularity: fc.constantFrom({ kind: 'channel' } as const, { kind: 'group', size: 16 } as const, { kind: 'group', size: 36 } as const),
    scaleBits: fc.constant(3 as const),
    scaleRows: fc.constantFrom(4, 16),
    scaleType: fc.constantFrom('F32', 'F16'),
  }),
  fc.constantFrom(...ggmlTypeNames).map((type): FormatSpec => ({ kind: 'ggml', type })),
);
