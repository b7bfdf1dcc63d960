import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { atOnce, random, type Tensor } from '@fewbit/core';
import { shared } from '@fewbit/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Digest, golden, tensorOf } from '../../golden/golden.js';
import { damageContract } from '../../test/damage-contract.js';
import { listed } from '../../test/listed.js';
import { readSafetensors } from '../../test/read-safetensors.js';
import {
  compressedTensors,
  decodeMatrix,
  encodeMatrix,
  type FormatSpec,
  type IntParams,
  type IntSpec,
  intFormat,
  type QuantizedMatrix,
  tileGrid,
} from '../index.js';

type IntMatrix = QuantizedMatrix<IntParams, IntSpec> & { readonly params: readonly IntParams[] };

const schemes = ['symmetric-full', 'symmetric-restricted', 'symmetric-signed', 'asymmetric', 'asymmetric-free'] as const;

describe('golden vectors of the compressed-tensors package', () => {
  it.each(golden.layout.map((vector) => [`${vector.bits} bits, symmetric ${vector.symmetric}, ${vector.strategy}`, vector] as const))(
    '%s',
    (_, vector) => {
      const spec: IntSpec = {
        kind: 'int',
        bits: vector.bits,
        scheme: vector.symmetric ? 'symmetric-full' : 'asymmetric',
        granularity: vector.strategy === 'group' ? { kind: 'group', size: vector.size! } : { kind: vector.strategy },
        scaleType: vector.scaleType,
      };
      const middle = 2 ** (vector.bits - 1);
      const matrix: IntMatrix = {
        rows: vector.rows,
        cols: vector.cols,
        spec,
        codes: Uint8Array.from(vector.codes),
        params: vector.scales.map((scale, i) => ({ scale, zero: vector.zeros?.[i] ?? middle })),
      };
      const theirs = new Map(Object.entries(vector.tensors).map(([name, tensor]) => [name, tensorOf(tensor)]));
      expect(bytesByName(compressedTensors.pack(matrix))).toEqual(bytesByName(theirs));
      expect(listed(atOnce(compressedTensors.unpack(theirs, spec, vector.rows, vector.cols)))).toEqual(matrix);
      expect(digest(decodeMatrix(matrix).data)).toEqual(vector.decoded);
    },
  );
});

const matrices = fc
  .record({
    bits: fc.constantFrom(2, 3, 4, 5, 6, 7, 8) as fc.Arbitrary<IntSpec['bits']>,
    scheme: fc.constantFrom(...schemes),
    scaleType: fc.constantFrom('F32', 'F16', 'BF16'),
    granularity: fc.oneof(
      fc.constant({ kind: 'channel' } as const),
      fc.record({ kind: fc.constant('group' as const), size: fc.integer({ min: 1, max: 40 }) }),
    ),
    rows: fc.integer({ min: 1, max: 40 }),
    cols: fc.integer({ min: 1, max: 90 }),
    seed: fc.integer(),
    actOrder: fc.boolean(),
  })
  .map(({ rows, cols, seed, actOrder, ...rest }) => randomMatrix({ kind: 'int', ...rest }, rows, cols, seed, actOrder));

describe('unpack', () => {
  it('gives back what was packed, whatever the shape', () => {
    fc.assert(
      fc.property(matrices, (matrix) => {
        expect(listed(roundTrip(matrix))).toEqual(matrix);
      }),
      { numRuns: 300 },
    );
  });

  it('gives back one scale per tensor', () => {
    for (const scheme of schemes.slice(0, 3)) {
      const matrix = randomMatrix({ kind: 'int', bits: 8, scheme, granularity: { kind: 'tensor' }, scaleType: 'F32' }, 7, 13, 1, false);
      expect(listed(roundTrip(matrix))).toEqual(matrix);
    }
  });

  it('reads int8 per channel, packed into words or one byte each', () => {
    const spec: IntSpec = { kind: 'int', bits: 8, scheme: 'symmetric-full', granularity: { kind: 'channel' }, scaleType: 'F32' };
    const matrix = randomMatrix(spec, 5, 9, 2, false);
    const packed = compressedTensors.pack(matrix);
    const bytes = Int8Array.from(matrix.codes, (code) => code - 128);
    const weight: Tensor = { dtype: 'I8', shape: [5, 9], data: new Uint8Array(bytes.buffer) };
    const tensors = new Map([
      ['weight', weight],
      ['weight_scale', packed.get('weight_scale')!],
    ]);
    expect(listed(atOnce(compressedTensors.unpack(tensors, spec, 5, 9)))).toEqual(matrix);
  });

  it('takes the scale type from the file', () => {
    const matrix = randomMatrix(
      { kind: 'int', bits: 4, scheme: 'asymmetric', granularity: { kind: 'channel' }, scaleType: 'F16' },
      3,
      5,
      3,
      false,
    );
    const read = atOnce(compressedTensors.unpack(compressedTensors.pack(matrix), { ...matrix.spec, scaleType: 'BF16' }, 3, 5));
    expect(read.spec).toMatchObject({ scaleType: 'F16' });
    expect(listed(read)).toEqual(matrix);
  });

  it('reads tensors at odd places in memory', () => {
    const matrix = randomMatrix(
      { kind: 'int', bits: 4, scheme: 'asymmetric', granularity: { kind: 'channel' }, scaleType: 'F32' },
      3,
      17,
      4,
      false,
    );
    const moved = new Map([...compressedTensors.pack(matrix)].map(([name, tensor]) => [name, { ...tensor, data: shifted(tensor.data) }]));
    expect(listed(atOnce(compressedTensors.unpack(moved, matrix.spec, 3, 17)))).toEqual(matrix);
  });

  damageContract(compressedTensors, matrices, (name, damage) => name === 'weight_g_idx' && damage === 'missing');

  it('refuses values that contradict the matrix', () => {
    const spec: IntSpec = { kind: 'int', bits: 4, scheme: 'asymmetric', granularity: { kind: 'group', size: 4 }, scaleType: 'F32' };
    const packed = compressedTensors.pack(randomMatrix(spec, 3, 8, 5, true));
    const replaced = (name: string, values: Float32Array | BigInt64Array | Int32Array) =>
      new Map(packed).set(name, { ...packed.get(name)!, data: new Uint8Array(values.buffer) });
    const refused = (tensors: ReadonlyMap<string, Tensor>, message: RegExp, as: FormatSpec = spec) =>
      expect(() => atOnce(compressedTensors.unpack(tensors, as, 3, 8))).toThrow(
        expect.objectContaining({ code: 'checkpoint', message: expect.stringMatching(message) }),
      );
    refused(replaced('weight_scale', Float32Array.of(1, 1, Number.NaN, 1, 1, 1)), /weight_scale holds NaN at 2/);
    refused(replaced('weight_shape', BigInt64Array.of(8n, 3n)), /weight_shape says 8 × 3: expected 3 × 8/);
    refused(replaced('weight_g_idx', Int32Array.of(0, 1, 0, 1, -1, 0, 0, 0)), /weight_g_idx holds -1 at 4: expected 0 … 1/);
    refused(
      new Map([['weight', packed.get('weight_packed')!]]),
      /Tensor weight stands where int4 g4 asymmetric is stored as weight_packed/,
    );
    const perChannel = randomMatrix({ ...spec, granularity: { kind: 'channel' } }, 3, 8, 5, false);
    refused(
      new Map(compressedTensors.pack(perChannel)).set('weight_g_idx', packed.get('weight_g_idx')!),
      /weight_g_idx stands beside channel/,
      perChannel.spec,
    );
  });
});

describe('pack', () => {
  const spec: IntSpec = { kind: 'int', bits: 4, scheme: 'symmetric-full', granularity: { kind: 'group', size: 4 }, scaleType: 'F16' };
  const good = randomMatrix(spec, 2, 8, 1, false);

  it('refuses what compressed-tensors cannot hold, with the reason', () => {
    const block: IntSpec = { ...spec, granularity: { kind: 'block', rows: 2, cols: 2 } };
    expect(() => compressedTensors.pack(randomMatrix(block, 4, 4, 1, false))).toThrow(/no integer format with 2-D blocks/);
    expect(compressedTensors.rejects({ ...spec, granularity: { kind: 'tensor' } }, 4, 4)).toMatch(
      /only for symmetric int8, not int4 tensor/,
    );
    expect(compressedTensors.rejects({ ...spec, bits: 8, scheme: 'asymmetric', granularity: { kind: 'tensor' } }, 4, 4)).toMatch(
      /symmetric int8/,
    );
    expect(compressedTensors.rejects(spec, 4, 4)).toBeUndefined();
  });

  it('warns of groups that other readers refuse', () => {
    expect(compressedTensors.caution?.(spec, 4, 10)).toMatch(/10 input columns are not a multiple of 4/);
    expect(compressedTensors.caution?.(spec, 4, 12)).toBeUndefined();
    expect(compressedTensors.caution?.({ ...spec, granularity: { kind: 'channel' } }, 4, 10)).toBeUndefined();
  });

  it('refuses a matrix that is not what its spec says', () => {
    const refused = (changes: Partial<IntMatrix>, message: RegExp) =>
      expect(() => compressedTensors.pack({ ...good, ...changes })).toThrow(
        expect.objectContaining({ code: 'usage', message: expect.stringMatching(message) }),
      );
    const params = (change: Partial<IntParams>) => good.params.map((one, i) => (i === 2 ? { ...one, ...change } : one));
    refused({ codes: good.codes.slice(1) }, /needs 16 codes, got 15/);
    refused({ codes: good.codes.map((code, i) => (i === 5 ? 16 : code)) }, /holds code 16 at 5/);
    refused({ params: good.params.slice(1) }, /has 4 tiles, got 3 params/);
    refused({ params: params({ scale: Number.NaN }) }, /scale NaN/);
    refused({ params: params({ scale: 0.1 }) }, /scale 0.1, which is no finite F16/);
    refused({ params: params({ zero: 7 }) }, /symmetric-full, has zero point 7/);
    refused({ params: params({ zero: 16 }), spec: { ...spec, scheme: 'asymmetric' } }, /zero point 16/);
    refused({ columnGroup: new Uint32Array(7) }, /8 column groups, got 7/);
    refused({ columnGroup: new Uint32Array(8).fill(2) }, /has 2 groups/);
    const perChannel = randomMatrix({ ...spec, granularity: { kind: 'channel' } }, 2, 8, 1, false);
    expect(() => compressedTensors.pack({ ...perChannel, columnGroup: new Uint32Array(8) })).toThrow(
      /channel granularity cannot have a columnGroup/,
    );
  });
});

describe.skipIf(!shared('peers'))('checkpoints of llm-compressor', () => {
  it.each(Object.keys(golden.peers))('%s decodes to the bits that the compressed-tensors package gives', (name) => {
    const folder = join(shared('peers')!, name);
    const reading = compressedTensors.recognise(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')).quantization_config)!;
    const tensors = readSafetensors(join(folder, 'model.safetensors'));
    for (const [module, expected] of Object.entries(golden.peers[name]!)) {
      const local = new Map(
        [...tensors].filter(([full]) => full.startsWith(`${module}.`)).map(([full, tensor]) => [full.slice(module.length + 1), tensor]),
      );
      const [rows, cols] = new BigInt64Array(new Uint8Array(local.get('weight_shape')!.data).buffer);
      const matrix = atOnce(reading.layout.unpack(local, reading.format(module)!, Number(rows), Number(cols)));
      expect(digest(decodeMatrix(matrix).data), module).toEqual(expected);
      expect(bytesByName(compressedTensors.pack(matrix)), module).toEqual(bytesByName(local));
    }
  });
});

function randomMatrix(spec: IntSpec, rows: number, cols: number, seed: number, actOrder: boolean): IntMatrix {
  const { normal, below } = random(seed);
  const format = intFormat(spec);
  const data = Float32Array.from({ length: rows * cols }, () => normal());
  const matrix = encodeMatrix({ rows, cols, data }, format);
  const codes = matrix.codes.map(() => below(format.levels));
  if (!actOrder || spec.granularity.kind !== 'group') return { ...matrix, spec, codes };
  const { across } = tileGrid(format, rows, cols);
  return { ...matrix, spec, codes, columnGroup: Uint32Array.from({ length: cols }, () => below(across)) };
}

function roundTrip(matrix: QuantizedMatrix): QuantizedMatrix {
  return atOnce(compressedTensors.unpack(compressedTensors.pack(matrix), matrix.spec, matrix.rows, matrix.cols));
}

function bytesByName(tensors: ReadonlyMap<string, Tensor>) {
  return Object.fromEntries(
    [...tensors].map(([name, { dtype, shape, data }]) => [name, { dtype, shape, hex: Buffer.from(data).toString('hex') }]),
  );
}

function digest(values: Float32Array): Digest {
  const positive = values.map((x) => x + 0);
  return { sha256: createHash('sha256').update(new Uint8Array(positive.buffer)).digest('hex'), first: [...positive.slice(0, 4)] };
}

function shifted(data: Uint8Array): Uint8Array {
  const longer = new Uint8Array(data.length + 1);
  longer.set(data, 1);
  return longer.subarray(1);
}
