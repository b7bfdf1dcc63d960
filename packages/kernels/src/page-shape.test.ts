import type { ActivationRounding, IntSpec } from '@fewbit/formats';
import { expect, it } from 'vitest';
import { pageShape } from './page-shape.js';

const of = (bits: 4 | 8, scheme: IntSpec['scheme'], size: number): ActivationRounding => ({
  spec: { format: { kind: 'int', bits, scheme, granularity: { kind: 'group', size }, scaleType: 'F32' }, scaling: 'dynamic' },
});
const fp8: ActivationRounding = {
  spec: { format: { kind: 'float', element: 'e4m3', granularity: { kind: 'channel' }, scaleType: 'F32' }, scaling: 'dynamic' },
};

it.each([
  ['f32', 1024],
  ['f16', 512],
  [of(8, 'symmetric-full', 256), 256 + 4],
  [of(8, 'asymmetric', 64), 256 + 16 + 4],
  [of(4, 'symmetric-full', 32), 128 + 32],
  [of(4, 'asymmetric', 32), 128 + 32 + 8],
  [fp8, 256 + 4],
] as const)('a row of 256 values takes its codes and scales: %j', (form, bytes) => {
  expect(pageShape(form, 256)).toMatchObject({ bytes });
});

it.each([
  [{ spec: { ...of(8, 'symmetric-full', 64).spec, outlierThreshold: 6 } }, 64],
  [of(4, 'symmetric-full', 13), 64],
  [of(4, 'symmetric-full', 63), 63],
  [of(8, 'symmetric-absmax', 64), 64],
])('what is no run of codes has no page: %j', (form, n) => {
  expect(pageShape(form, n)).toMatch(/have no pages/);
});
