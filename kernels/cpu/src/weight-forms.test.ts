import { atOnce, matrix, random } from '@fewbit/core';
import {
  createFormat,
  decodeMatrix,
  encodeMatrix,
  type FormatSpec,
  type GgmlTypeName,
  type QuantizedMatrix,
  type SuperParams,
} from '@fewbit/formats';
import { describe, expect, it } from 'vitest';
import { cpuBackend } from './cpu-backend.js';
import { loadAddon } from './cpu-probe.js';

const addon = await loadAddon();
const group = (size: number) => ({ kind: 'group', size }) as const;
const int = (bits: 2 | 3 | 4 | 5 | 6 | 7 | 8): FormatSpec => ({
  kind: 'int',
  bits,
  scheme: 'symmetric-full',
  granularity: group(32),
  scaleType: 'F16',
});
const nvfp4: FormatSpec = { kind: 'float', element: 'e2m1', granularity: group(16), scaleType: 'E4M3' };
const mxfp4: FormatSpec = { kind: 'float', element: 'e2m1', granularity: group(32), scaleType: 'E8M0' };

const mxfp8: FormatSpec = { kind: 'float', element: 'e4m3', granularity: group(32), scaleType: 'E8M0' };
const ggml = (type: GgmlTypeName): FormatSpec => ({ kind: 'ggml', type });
const nf4: FormatSpec = { kind: 'codebook', levels: 'nf4', bits: 4, granularity: group(64), scaleType: 'BF16' };

/** Bits per weight in memory. */
const held: Readonly<Record<string, readonly [FormatSpec, number]>> = {
  ...Object.fromEntries(([2, 3, 4, 5, 6, 7, 8] as const).map((bits) => [`int${bits}`, [int(bits), bits + 0.5] as const])),
  nvfp4: [nvfp4, 4.5],
  mxfp4: [mxfp4, 4.25],
  mxfp8: [mxfp8, 8.25],
  'nf4 of bfloat16': [nf4, 4.25],
  'ggml q4_0': [ggml('q4_0'), 4.5],
  'ggml q4_1': [ggml('q4_1'), 5],
  'ggml q5_1': [ggml('q5_1'), 6],
  'ggml q2_k': [ggml('q2_k'), 2 + 16 / 16 + 32 / 256],
  'ggml q3_k': [ggml('q3_k'), 4 + 8 / 16 + 16 / 256], // of 16 inputs alone, the fourth bit is empty
  'ggml q4_k': [ggml('q4_k'), 4 + 16 / 32 + 32 / 256],
  'ggml q5_k': [ggml('q5_k'), 5 + 16 / 32 + 32 / 256],
  'ggml q6_k': [ggml('q6_k'), 6 + 8 / 16 + 16 / 256],
  'ggml iq4_xs': [ggml('iq4_xs'), 4 + 8 / 32 + 16 / 256],
  'ggml mxfp4': [ggml('mxfp4'), 4.25],
};

describe.skipIf(typeof addon === 'string')('a weight takes the bits of its codes and scales', () => {
  it.for(Object.entries(held))('%s', async ([, [spec, bits]]) => {
    expect((await uploaded(someMatrix(spec))).bits).toBeCloseTo(bits, 2);
  });
});

describe.skipIf(typeof addon === 'string')('short scales decode to what they were', () => {
  it.for([
    ['nvfp4', nvfp4],
    ['mxfp4', mxfp4],
    ['mxfp8', mxfp8],
    ['nf4 of bfloat16', nf4],
    ...(['q4_1', 'q2_k', 'q3_k', 'q4_k', 'q5_k', 'q6_k', 'iq4_xs'] as const).map((type) => [type, ggml(type)] as const),
  ] as const)('%s', async ([, spec]) => {
    const codes = someMatrix(spec);
    expect((await uploaded(codes)).rows).toEqual(wholeZeros(decodeMatrix(codes).data));
  });

  it('what a byte does not hold lies in more', async () => {
    const codes = someMatrix(nvfp4);
    const [first, ...rest] = codes.params as Iterable<{ scale: number; block: number; divisor: number }>;
    const other = { ...codes, params: [{ ...first!, divisor: 3, scale: Math.fround(1 / 3) }, ...rest] };
    const sixths = someMatrix(ggml('q6_k'));
    const [wide, ...blocks] = sixths.params as Iterable<SuperParams>;
    const third = { ...sixths, params: [{ ...wide!, d: Math.fround(1 / 3) }, ...blocks] };
    const small = { ...someMatrix(mxfp4), params: Array.from(codes.params, () => ({ scale: 2 ** -127 })) };
    for (const [matrix, bits] of [
      [other, 6],
      [small, 4.5],
      [third, 8],
    ] as const) {
      const got = await uploaded(matrix);
      expect(got.bits).toBeCloseTo(bits, 2);
      expect(got.rows).toEqual(wholeZeros(decodeMatrix(matrix).data));
    }
  });
});

/** Rows of different sizes. */
function someMatrix(spec: FormatSpec): QuantizedMatrix {
  const [rows, cols] = [512, 512];
  const { normal } = random(1);
  const values = Float32Array.from({ length: rows * cols }, (_, i) => normal() * 2 ** (Math.floor(i / cols) % 8));
  return encodeMatrix(matrix(rows, cols, values), createFormat(spec));
}

/** What a matrix takes on the backend, per weight, and all of its rows as they come back. */
async function uploaded(codes: QuantizedMatrix): Promise<{ bits: number; rows: Float32Array }> {
  if (typeof addon === 'string') throw new Error(addon);
  const backend = cpuBackend(addon, addon.instructionSets()[0]!, 1);
  const before = backend.bytes;
  const held = atOnce(backend.weights!.upload(codes));
  const bits = ((backend.bytes - before) * 8) / codes.codes.length;
  const rows = await backend.download(
    backend.ops.embed(
      held,
      Uint32Array.from({ length: codes.rows }, (_, row) => row),
    ),
  );
  await backend.close();
  return { bits, rows: wholeZeros(rows) };
}

/** Whole numbers have one zero, floats two. */
function wholeZeros(values: Float32Array): Float32Array {
  return values.map((value) => value + 0);
}
