import fc from 'fast-check';
import { it } from 'vitest';
import type { ActivationRounding, FormatSpec, IntSpec } from '../../../packages/formats/src/index.js';
import type { Backend, DeviceTensor } from '../../../packages/kernels/src/index.js';
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

/** With and without kernels of their own. */
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
};

/** `agrees` runs an op on the reference and on the backend: the result has the same bits, whatever the values. */
export function roundingContract(
  agrees: (
    inputs: [shape: number[], data: Float32Array][],
    limit: number,
    op: (on: Backend, tensors: DeviceTensor[]) => DeviceTensor,
  ) => Promise<void>,
): void {
  it.each(Object.entries(roundings))('roundActivations: %s', (_, rounding) =>
    fc.assert(
      fc.asyncProperty(
        fc.record({ m: fc.integer({ min: 1, max: 20 }), k: fc.integer({ min: 1, max: 200 }), seed: fc.nat(1000), odd: fc.boolean() }),
        async ({ m, k, seed, odd }) => {
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
