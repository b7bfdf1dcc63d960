import fc from 'fast-check';
import { it } from 'vitest';
import type { ActivationRounding, FormatSpec, IntSpec } from '../../../packages/formats/src/index.js';
import type { Agrees } from './agrees.js';
import { values } from './values.js';

const int8 = (changes: Partial<IntSpec> = {}): IntSpec => ({
  kind: 'int',
  bits: 8,
  scheme: 'symmetric-full',
  granularity: { kind: 'channel' },
  scaleType: 'F32',
  ...changes,
});
const fp8: FormatSpec = { kind: 'float', element: 'e4m3', granularity: { kind: 'channel' }, scaleType: 'F32' };
const tensor = { kind: 'tensor' } as const;
const group = (size: number) => ({ kind: 'group', size }) as const;

const dynamic = (format: FormatSpec): ActivationRounding => ({ spec: { format, scaling: 'dynamic' } });
const stored = (format: FormatSpec, params: object): ActivationRounding => ({ spec: { format, scaling: 'static' }, params });

/** Every kind of integers and floats, of every reach and type of scale. */
export const roundings: Readonly<Record<string, ActivationRounding>> = {
  'int8 per token': { spec: { format: int8(), scaling: 'dynamic' } },
  'int8 per token, restricted': { spec: { format: int8({ scheme: 'symmetric-restricted' }), scaling: 'dynamic' } },
  'int8 per token, asymmetric': { spec: { format: int8({ scheme: 'asymmetric' }), scaling: 'dynamic' } },
  'int4 per group, asymmetric': { spec: { format: int8({ bits: 4, scheme: 'asymmetric', granularity: group(13) }), scaling: 'dynamic' } },
  'int8 per tensor, dynamic': { spec: { format: int8({ granularity: tensor }), scaling: 'dynamic' } },
  'int8, free range': { spec: { format: int8({ scheme: 'asymmetric-free' }), scaling: 'dynamic' } },
  'int8 static': { spec: { format: int8({ granularity: tensor }), scaling: 'static' }, params: { scale: Math.fround(0.011), zero: 128 } },
  'int8 static, asymmetric': {
    spec: { format: int8({ granularity: tensor, scheme: 'asymmetric' }), scaling: 'static' },
    params: { scale: Math.fround(0.02), zero: 77 },
  },
  'int8 per token, outliers in float': { spec: { format: int8(), scaling: 'dynamic', outlierThreshold: 1.2 } },
  'LLM.int8()': { spec: { format: int8({ scheme: 'symmetric-absmax' }), scaling: 'dynamic', outlierThreshold: 1.2 } },
  'fp8 per token': { spec: { format: fp8, scaling: 'dynamic' } },
  'fp8 static': { spec: { format: { ...fp8, granularity: tensor }, scaling: 'static' }, params: { scale: Math.fround(0.003) } },
  'fp8 e5m2 per token': { spec: { format: { ...fp8, element: 'e5m2' }, scaling: 'dynamic' } },
  'fp8 per group': { spec: { format: { ...fp8, granularity: group(24) }, scaling: 'dynamic' } },
  mxfp8: { spec: { format: { ...fp8, granularity: group(32), scaleType: 'E8M0' }, scaling: 'dynamic' } },
  mxfp4: { spec: { format: { ...fp8, element: 'e2m1', granularity: group(32), scaleType: 'E8M0' }, scaling: 'dynamic' } },
  nvfp4: {
    spec: { format: { ...fp8, element: 'e2m1', granularity: group(16), scaleType: 'E4M3' }, scaling: 'local' },
    params: { divisor: 777.5 },
  },
  'int8, signed scale': dynamic(int8({ scheme: 'symmetric-signed' })),
  'int4 per group, free range': dynamic(int8({ bits: 4, scheme: 'asymmetric-free', granularity: group(7) })),
  'int4 per tensor, dynamic, signed scale': dynamic(int8({ bits: 4, scheme: 'symmetric-signed', granularity: tensor })),
  'int3 per tensor, dynamic, free range': dynamic(int8({ bits: 3, scheme: 'asymmetric-free', granularity: tensor })),
  'int8 per tensor, dynamic, asymmetric': dynamic(int8({ scheme: 'asymmetric', granularity: tensor })),
  'int8 per block': dynamic(int8({ granularity: { kind: 'block', rows: 3, cols: 17 } })),
  'int8 per block, free range': dynamic(int8({ scheme: 'asymmetric-free', granularity: { kind: 'block', rows: 4, cols: 9 } })),
  'int8 in runs across tokens': dynamic(int8({ granularity: { kind: 'flat', size: 37 } })),
  'int5 in runs across tokens, asymmetric': dynamic(int8({ bits: 5, scheme: 'asymmetric', granularity: { kind: 'flat', size: 64 } })),
  'int8 per token, F16 scales': dynamic(int8({ scaleType: 'F16' })),
  'int8 per token, asymmetric, BF16 scales': dynamic(int8({ scheme: 'asymmetric', scaleType: 'BF16' })),
  'int8 per token, signed BF16 scale': dynamic(int8({ scheme: 'symmetric-signed', scaleType: 'BF16' })),
  'LLM.int8() per tensor, outliers in float': {
    spec: { format: int8({ scheme: 'symmetric-absmax', granularity: tensor }), scaling: 'dynamic', outlierThreshold: 1.2 },
  },
  'int8 per tensor, dynamic, asymmetric, outliers in float': {
    spec: { format: int8({ scheme: 'asymmetric-free', granularity: tensor }), scaling: 'dynamic', outlierThreshold: 1.2 },
  },
  'LLM.int8() static': stored(int8({ scheme: 'symmetric-absmax', granularity: tensor }), { scale: 0.0118, zero: 128, absmax: 1.5 }),
  'LLM.int8() static, of zeros': stored(int8({ scheme: 'symmetric-absmax', granularity: tensor }), { scale: 0, zero: 128, absmax: 0 }),
  'int8 static, signed scale': stored(int8({ scheme: 'symmetric-signed', granularity: tensor }), { scale: Math.fround(-0.013), zero: 128 }),
  'int8 static per token': stored(int8(), { scale: Math.fround(0.011), zero: 128 }),
  'fp8 per tensor, dynamic': dynamic({ ...fp8, granularity: tensor }),
  'fp8 per block, BF16 scales': dynamic({ ...fp8, granularity: { kind: 'block', rows: 2, cols: 50 }, scaleType: 'BF16' }),
  'fp8 in runs across tokens, F16 scales': dynamic({ ...fp8, granularity: { kind: 'flat', size: 45 }, scaleType: 'F16' }),
  'fp8 under a stored tensor scale': {
    spec: { format: { ...fp8, granularity: tensor }, scaling: 'local' },
    params: { scale: Math.fround(0.004) },
  },
  'mxfp4 static': stored({ ...fp8, element: 'e2m1', granularity: group(32), scaleType: 'E8M0' }, { scale: 0.25 }),
  'nvfp4, each group a tensor of its own': dynamic({ ...fp8, element: 'e2m1', granularity: group(16), scaleType: 'E4M3' }),
};

/** Of inputs that come in blocks of 32: two heads, and what kernels leave to the reference. */
const blocks: Readonly<Record<string, ActivationRounding>> = {
  'int8 static per head': {
    spec: { format: int8({ granularity: tensor }), scaling: 'static', perHead: true },
    params: [
      { scale: Math.fround(0.011), zero: 128 },
      { scale: Math.fround(0.002), zero: 128 },
    ],
  },
  Q8_0: dynamic({ kind: 'ggml', type: 'q8_0' }),
};

/** `agrees` runs an op on the reference and on the backend: the result has the same bits, whatever the values. */
export function roundingContract(agrees: Agrees): void {
  it.each(Object.entries({ ...roundings, ...blocks }))('roundActivations: %s', (name, rounding) =>
    fc.assert(
      fc.asyncProperty(
        fc.record({ m: fc.integer({ min: 1, max: 20 }), k: fc.integer({ min: 1, max: 200 }), seed: fc.nat(1000), odd: fc.boolean() }),
        async ({ m, k: any, seed, odd }) => {
          const k = name in blocks ? Math.ceil(any / 32) * 32 : any;
          const data = values(m * k, seed);
          if (odd) for (let i = 0; i < data.length; i++) data[i] = oddValues[Math.floor(Math.abs(data[i]!) * 1e4) % oddValues.length]!;
          await agrees([[[m, k], data]], 0, (on, [x]) => on.ops.roundActivations(x!, rounding));
        },
      ),
      { numRuns: 30, seed: 1 },
    ),
  );
}

/** Halves between codes, zeros, subnormals, the ends of half precision; rarely what is no number. */
const oddValues = [
  ...[0, -0, 0.5, -0.5, 1, -1, 0.75, 1.25, -1.75, 2.5, 3, 127, -127.5, 1e-3, -1e-5, 6e-8, 3e-8, -2e-8, 1e-40, -1e-45, 448, -464, 6],
  ...[65519, -65520, 65504, 7e4, 1e30, -3e38, 2 ** -9, 2 ** -10, 3 * 2 ** -11, 2 ** -24, 1.5 * 2 ** -24, 2 ** -25, Number.NaN],
  ...[Number.POSITIVE_INFINITY, Math.PI, -Math.E],
];
