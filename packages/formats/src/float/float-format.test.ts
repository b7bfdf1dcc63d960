import { fromE2m1, fromE4m3, fromE5m2, toE2m1, toE4m3, toE5m2 } from '@fewbit/core';
import { describe, expect, it } from 'vitest';
import { bytesOf, floatsOf, numbers } from '../../golden/numbers.js';
import {
  createFormat,
  decodeMatrix,
  encodeMatrix,
  type FloatParams,
  type FloatSpec,
  formatName,
  fromE8m0,
  type NumericFormat,
  type NvParams,
  toE8m0,
} from '../index.js';

const codecs = {
  e4m3: { from: fromE4m3, to: toE4m3 },
  e5m2: { from: fromE5m2, to: toE5m2 },
  e2m1: { from: fromE2m1, to: toE2m1 },
};

describe('elements are those of ml-dtypes', () => {
  for (const { name, values, probes, codes } of numbers.elements) {
    if (name === 'e8m0') {
      it('e8m0: every code', () => {
        const expected = [...floatsOf(values)];
        expect(expected.map((_, code) => fromE8m0(code))).toEqual(expected);
        for (let code = 0; code < 255; code++) expect(toE8m0(fromE8m0(code))).toBe(code);
      });
      continue;
    }
    const { from, to } = codecs[name];
    it(`${name}: every code`, () => {
      const expected = [...floatsOf(values)];
      expect(expected.map((_, code) => from(code))).toEqual(expected); // toEqual tells −0 from 0
    });
    it(`${name}: half-way points, and the floats beside them`, () => {
      expect([...floatsOf(probes)].map(to)).toEqual([...bytesOf(codes)]);
    });
  }
});

const specs: Record<string, FloatSpec> = {
  'fp8 tensor': { kind: 'float', element: 'e4m3', scaleType: 'F32', granularity: { kind: 'tensor' } },
  'fp8 channel': { kind: 'float', element: 'e4m3', scaleType: 'F32', granularity: { kind: 'channel' } },
  'fp8 group': { kind: 'float', element: 'e4m3', scaleType: 'F32', granularity: { kind: 'group', size: 16 } },
  'fp8 block': { kind: 'float', element: 'e4m3', scaleType: 'F32', granularity: { kind: 'block', rows: 4, cols: 16 } },
  mxfp4: { kind: 'float', element: 'e2m1', scaleType: 'E8M0', granularity: { kind: 'group', size: 32 } },
  mxfp8: { kind: 'float', element: 'e4m3', scaleType: 'E8M0', granularity: { kind: 'group', size: 32 } },
  nvfp4: { kind: 'float', element: 'e2m1', scaleType: 'E4M3', granularity: { kind: 'group', size: 16 } },
};

describe('matrices are those of compressed-tensors', () => {
  it.each(numbers.scaled.map((vector) => [vector.name, vector] as const))('%s', (name, vector) => {
    const format = createFormat(specs[name]!) as NumericFormat<FloatParams>;
    const weight = { rows: vector.rows, cols: vector.cols, data: floatsOf(vector.weight) };
    const matrix = encodeMatrix(weight, format);
    const scaleOf = (params: FloatParams) => (vector.divisor === null ? params.scale : (params as NvParams).block);
    expect(matrix.params.map(scaleOf)).toEqual([...floatsOf(vector.scales)]);
    if (vector.divisor !== null) for (const params of matrix.params) expect((params as NvParams).divisor).toBe(vector.divisor);
    const { from } = codecs[specs[name]!.element];
    const zeroed = (x: number) => x + 0; // compressed-tensors multiplies by the sign: it has no −0 of its own rule
    expect([...matrix.codes].map((code) => zeroed(from(code)))).toEqual([...floatsOf(vector.elements)].map(zeroed));
    expect([...decodeMatrix(matrix).data].map(zeroed)).toEqual([...floatsOf(vector.decoded)].map(zeroed));
  });
});

it('names its formats', () => {
  expect(Object.values(specs).map(formatName)).toEqual([
    'fp8-e4m3 tensor',
    'fp8-e4m3 channel',
    'fp8-e4m3 g16',
    'fp8-e4m3 block4x16',
    'mxfp4-e2m1 g32',
    'mxfp8-e4m3 g32',
    'nvfp4-e2m1 g16',
  ]);
});
