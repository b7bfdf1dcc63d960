import { atOnce, type Tensor } from '@fewbit/core';
import { fewbitError } from '@fewbit/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { damageContract } from '../test/damage-contract.js';
import { encoded } from '../test/encoded.js';
import { listed } from '../test/listed.js';
import { withOutliers } from '../test/with-outliers.js';
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
  gptqV2,
  type QuantizedMatrix,
  restateFor,
  type SparseMatrix,
  sparseMatrix,
  storedBits,
} from './index.js';

const int4: FormatSpec = { kind: 'int', bits: 4, scheme: 'symmetric-full', granularity: { kind: 'group', size: 8 }, scaleType: 'F16' };
const codebook: FormatSpec = { kind: 'codebook', levels: 'fitted', bits: 3, granularity: { kind: 'channel' }, scaleType: 'F16' };

const matrices = fc
  .record({
    rows: fc.integer({ min: 1, max: 12 }),
    cols: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(255, 256, 300)),
    seed: fc.nat(),
    share: fc.constantFrom(0, 0.02, 0.3),
    type: fc.constantFrom<SparseMatrix['type']>('F16', 'BF16', 'F32'),
    spec: fc.constantFrom(int4, codebook),
  })
  .map(({ rows, cols, seed, share, type, spec }) => withOutliers(encoded(spec, rows, cols, seed), share, seed, type));
const [counts, columns, values] = ['weight_outlier_counts', 'weight_outlier_columns', 'weight_outlier_values'];

describe('outliers', () => {
  it('stand in the place of what their codes decode to', () => {
    fc.assert(
      fc.property(matrices, (matrix) => {
        const { outliers, ...codes } = matrix;
        const [all, dense] = [decodeMatrix(matrix).data, decodeMatrix(codes).data];
        const { starts, columns, values } = outliers!;
        for (let row = 0; row < matrix.rows; row++) {
          const kept = new Map([...columns.subarray(starts[row], starts[row + 1])].map((column, i) => [column, values[starts[row]! + i]]));
          for (let j = 0; j < matrix.cols; j++) expect(all[row * matrix.cols + j]).toBe(kept.get(j) ?? dense[row * matrix.cols + j]);
        }
      }),
    );
  });

  it('are refused by layouts of codes alone, and no restatement drops them', () => {
    const q4 = encoded({ ...int4, granularity: { kind: 'group', size: 32 } } as FormatSpec, 8, 64, 1);
    const matrix = withOutliers(q4, 0.05, 1);
    for (const layout of [compressedTensors, gptq, gptqV2, awq, fp8, bitsandbytes, gguf]) {
      expect(() => layout.pack(matrix)).toThrow(fewbitError('unsupported', /outliers.*--layout fewbit/));
      expect(restateFor(layout, matrix)).toBeUndefined();
    }
    expect(restateFor(gguf, q4)?.spec).toMatchObject({ kind: 'ggml', type: 'q4_0' });
    expect(restateFor(fewbit, matrix)).toEqual(matrix);
  });
});

describe('outliers in layout fewbit', () => {
  it('read back as they were, and take as many bits as are written', () => {
    fc.assert(
      fc.property(matrices, (matrix) => {
        const tensors = fewbit.pack(matrix);
        expect(listed(atOnce(fewbit.unpack(tensors, matrix.spec, matrix.rows, matrix.cols)))).toEqual(matrix);
        const { outliers: _, ...codes } = matrix;
        const bytes = [counts!, columns!, values!].reduce((sum, name) => sum + tensors.get(name)!.data.length, 0);
        expect(storedBits(matrix) - storedBits(codes)).toBe(8 * bytes);
      }),
    );
  });

  damageContract(fewbit, matrices);

  it('of damaged tensors are refused by name, or are other finite numbers', () => {
    const damage = fc.record({ name: fc.constantFrom(counts!, columns!, values!), at: fc.nat(), byte: fc.nat(255) });
    fc.assert(
      fc.property(matrices, damage, (matrix, { name, at, byte }) => {
        const tensors = new Map(fewbit.pack(matrix));
        const tensor = tensors.get(name)!;
        const data = tensor.data.slice();
        if (data.length > 0) data[at % data.length] = byte;
        tensors.set(name, { ...tensor, data });
        let read: QuantizedMatrix;
        try {
          read = atOnce(fewbit.unpack(tensors, matrix.spec, matrix.rows, matrix.cols));
        } catch (error) {
          expect(error).toEqual(fewbitError('checkpoint', /Tensor weight_outlier_(counts|columns|values) /));
          return;
        }
        expect(decodeMatrix(read).data.every(Number.isFinite)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('name what is wrong in a tensor', () => {
    const matrix = { ...encoded(int4, 2, 8, 1), outliers: sparseMatrix(2, 8, [1, 3, 12], [5, -6, 7], 'F16') };
    const refused = (changes: Record<string, Partial<Tensor>>, message: RegExp) => {
      const tensors = new Map(fewbit.pack(matrix));
      for (const [name, change] of Object.entries(changes)) tensors.set(name, { ...tensors.get(name)!, ...change });
      expect(() => atOnce(fewbit.unpack(tensors, int4, 2, 8))).toThrow(fewbitError('checkpoint', message));
    };
    refused(
      { [columns!]: { data: Uint8Array.of(3, 1, 4) } },
      /weight_outlier_columns holds 1 at 1: expected columns below 8 that rise in row 0/,
    );
    refused({ [columns!]: { data: Uint8Array.of(1, 8, 4) } }, /weight_outlier_columns holds 8 at 1/);
    refused({ [counts!]: { data: Uint8Array.of(2, 9) } }, /weight_outlier_counts holds 9 at 1: expected at most 8 of a row/);
    refused({ [counts!]: { data: Uint8Array.of(2, 2) } }, /weight_outlier_columns is U8 \[3\]: expected U8 \[4\]/);
    refused({ [values!]: { data: Uint8Array.of(0, 0, 0, 0x7e, 0, 0) } }, /weight_outlier_values holds NaN at 1/);
  });

  it('that are no sparse matrix are not written', () => {
    const matrix = encoded(int4, 2, 8, 1);
    const good = sparseMatrix(2, 8, [1, 3, 12], [5, -6, 7], 'F16');
    const refused = (change: Partial<SparseMatrix>, message: RegExp) =>
      expect(() => fewbit.pack({ ...matrix, outliers: { ...good, ...change } })).toThrow(fewbitError('usage', message));
    refused({ starts: Uint32Array.of(0, 3) }, /need 3 starts of rows, got 2/);
    refused({ starts: Uint32Array.of(0, 2, 4) }, /have 3 columns, but starts from 0 to 4/);
    refused({ starts: Uint32Array.of(0, 4, 3) }, /end at 3 in row 1|hold column/);
    refused({ columns: Uint32Array.of(3, 1, 4) }, /hold column 1 at 1/);
    refused({ values: Float32Array.of(1, 2) }, /have 3 columns, but 2 values/);
    refused({ values: Float32Array.of(1, 2, 1e6) }, /hold 1000000, which is no finite F16/);
  });
});
