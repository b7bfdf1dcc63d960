import { openModelDirectory } from '@fewbit/checkpoint';
import type { Matrix } from '@fewbit/core';
import {
  createFormat,
  decodeMatrix,
  encodeMatrix,
  fitSearched,
  type GgmlTypeName,
  ggmlType,
  ggmlTypeNames,
  gguf,
  type QuantizedMatrix,
} from '@fewbit/formats';
import { openWeights } from '@fewbit/runtime';
import { temporaryFolder } from '@fewbit/testkit';
import { beforeAll, describe, expect, it } from 'vitest';
import { hasGgml, quantizeWithGgml } from '../src/ggml.js';
import { subjects } from '../src/subjects.js';

const subject = subjects['smollm2-135m'];
/** Whose encoder is one formula. */
const specified: readonly GgmlTypeName[] = ['q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0', 'tq1_0', 'tq2_0', 'mxfp4'];

describe.skipIf(!subject || !hasGgml)('matrices of SmolLM2-135M through libggml', () => {
  const folder = temporaryFolder();
  let short: Matrix;
  let long: Matrix;
  beforeAll(async () => {
    const directory = await openModelDirectory(subject!.path);
    const source = await openWeights(directory);
    short = await source.linear('model.layers.7.self_attn.k_proj'); // 192 × 576
    const { cols, data } = await source.linear('model.layers.7.mlp.down_proj'); // 576 × 1536
    long = { rows: 128, cols, data: data.subarray(0, 128 * cols) };
    await directory.close();
  });

  it.each(ggmlTypeNames)(
    '%s: no more error than its own quantizer, plain and by importance; its bytes where they are specified',
    (type) => {
      const weight = ggmlType(type).block === 256 ? long : short;
      const format = createFormat({ kind: 'ggml', type });
      const importance = Float32Array.from({ length: weight.cols }, (_, j) => 0.05 + ((j * 37) % 101) ** 2 / 3000);
      for (const weights of [undefined, importance]) {
        const theirs = quantizeWithGgml(weight, type, folder, weights);
        const ours = encodeMatrix(weight, format, {
          fit: (tile, _row, col) => fitSearched(format, tile, weights ? { importance: weights.subarray(col, col + tile.cols) } : {}),
        });
        expect(error(weight, ours, weights)).toBeLessThanOrEqual(error(weight, theirs, weights));
        if (!weights && specified.includes(type)) expect(bytesOf(encodeMatrix(weight, format))).toEqual(bytesOf(theirs));
      }
    },
  );
});

function error({ cols, data }: Matrix, quantized: QuantizedMatrix, importance?: Float32Array): number {
  return decodeMatrix(quantized).data.reduce((sum, value, i) => sum + (importance?.[i % cols] ?? 1) * (value - data[i]!) ** 2, 0);
}

function bytesOf(quantized: QuantizedMatrix): Uint8Array {
  return [...gguf.pack(quantized).values()][0]!.data;
}
