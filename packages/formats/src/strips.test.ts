import { expect, it } from 'vitest';
import { encoded } from '../test/encoded.js';
import {
  awq,
  bitsandbytes,
  compressedTensors,
  decodeMatrix,
  type FormatSpec,
  fewbit,
  fp8,
  gguf,
  gptq,
  type Layout,
  type QuantizedMatrix,
} from './index.js';

const [rows, cols] = [520, 1024];
const group = { kind: 'group', size: 32 } as const;
const integers = (bits: 3 | 4 | 8, scheme: 'symmetric-full' | 'asymmetric'): FormatSpec => ({
  kind: 'int',
  bits,
  scheme,
  granularity: group,
  scaleType: 'F16',
});
const cases: readonly (readonly [Layout, FormatSpec])[] = [
  [compressedTensors, integers(4, 'asymmetric')],
  [compressedTensors, { kind: 'float', element: 'e2m1', granularity: { kind: 'group', size: 16 }, scaleType: 'E4M3' }],
  [compressedTensors, { kind: 'float', element: 'e4m3', granularity: { kind: 'channel' }, scaleType: 'F16' }],
  [gptq, integers(3, 'symmetric-full')],
  [awq, integers(4, 'symmetric-full')],
  [bitsandbytes, { kind: 'codebook', levels: 'nf4', bits: 4, granularity: { kind: 'flat', size: 64 }, scaleType: 'F32' }],
  [bitsandbytes, { kind: 'int', bits: 8, scheme: 'symmetric-absmax', granularity: { kind: 'channel' }, scaleType: 'F32' }],
  [fp8, { kind: 'float', element: 'e4m3', granularity: { kind: 'block', rows: 128, cols: 128 }, scaleType: 'F32' }],
  [fewbit, integers(3, 'asymmetric')],
  [gguf, { kind: 'ggml', type: 'q4_0' }],
];

it.each(cases.map(([layout, spec]) => [layout.id, JSON.stringify(spec), layout, spec] as const))(
  '%s reads a matrix of many codes strip by strip: %s',
  (_id, _spec, layout, spec) => {
    const matrix = encoded(spec, rows, cols, 1);
    const work = layout.unpack(layout.pack(matrix), spec, rows, cols);
    let pauses = 0;
    let read: QuantizedMatrix | undefined;
    while (!read) {
      const { done, value } = work.next();
      if (done) read = value;
      else pauses++;
    }
    expect(pauses).toBeGreaterThanOrEqual(2);
    expect(read.codes).toEqual(matrix.codes);
    expect(decodeMatrix(read)).toEqual(decodeMatrix(matrix));
  },
);
