import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { atOnce, matrix } from '@fewbit/core';
import { shared } from '@fewbit/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
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
} from '../index.js';

interface Case {
  readonly type: GgmlTypeName;
  readonly title: string;
  readonly x: Float32Array;
  readonly importance?: Float32Array;
  readonly blocks: Uint8Array;
  readonly values: (decoded: Float32Array) => void;
}

/** Made by golden/make-ggml-golden.py with libggml. */
const cases = [...ownCases(), ...sharedCases()];
const deterministic: readonly GgmlTypeName[] = ['q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0', 'tq1_0', 'tq2_0', 'mxfp4'];

describe.each(ggmlTypeNames)('%s', (type) => {
  const mine = cases.filter((entry) => entry.type === type);

  it('reads what libggml reads, and writes the same bytes back', () => {
    for (const { blocks, values } of mine) {
      const read = unpack(type, blocks);
      values(decodeMatrix(read).data);
      expect(bytesOf(read)).toEqual(blocks);
    }
  });

  it.runIf(deterministic.includes(type))('rounds to the bytes of libggml', () => {
    for (const { title, x, importance, blocks } of mine) {
      if (!importance) expect(bytesOf(encodeMatrix(matrix(1, x.length, x), createFormat({ kind: 'ggml', type }))), title).toEqual(blocks);
    }
  });

  it('searches parameters with at most the error of libggml, plain and by importance', () => {
    const format = createFormat({ kind: 'ggml', type });
    for (const { title, x, importance, blocks } of mine) {
      const ours = encodeMatrix(matrix(1, x.length, x), format, {
        fit: (tile, _row, col) => fitSearched(format, tile, importance ? { importance: importance.subarray(col, col + tile.cols) } : {}),
      });
      const theirs = error(x, decodeMatrix(unpack(type, blocks)).data, importance);
      expect(error(x, decodeMatrix(ours).data, importance), title).toBeLessThanOrEqual(theirs * (1 + 1e-6));
    }
  });
});

function unpack(type: GgmlTypeName, data: Uint8Array): QuantizedMatrix {
  const { block, bytes } = ggmlType(type);
  const tensor = { dtype: 'U8', shape: [1, data.length], data } as const;
  return atOnce(gguf.unpack(new Map([[`weight.${type}`, tensor]]), { kind: 'ggml', type }, 1, (data.length / bytes) * block));
}

function bytesOf(quantized: QuantizedMatrix): Uint8Array {
  return [...gguf.pack(quantized).values()][0]!.data;
}

function error(x: Float32Array, decoded: Float32Array, importance: Float32Array | undefined): number {
  return x.reduce((sum, value, i) => sum + (importance?.[i] ?? 1) * (value - decoded[i]!) ** 2, 0);
}

function ownCases(): Case[] {
  const golden = JSON.parse(readFileSync(new URL('../../golden/ggml.json', import.meta.url), 'utf8')) as {
    x: string[];
    importance: string[];
    types: Record<GgmlTypeName, Record<'plain' | 'imatrix', [string, string][]>>;
  };
  return ggmlTypeNames.flatMap((type) =>
    (['plain', 'imatrix'] as const).flatMap((how) =>
      golden.types[type][how].map(
        ([blocks, sha], row): Case => ({
          type,
          title: `row ${row} ${how}`,
          x: floats(golden.x[row]!),
          ...(how === 'imatrix' && { importance: floats(golden.importance[row]!) }),
          blocks: new Uint8Array(Buffer.from(blocks, 'base64')),
          values: (decoded) => expect(createHash('sha256').update(new Uint8Array(decoded.buffer)).digest('hex')).toBe(sha),
        }),
      ),
    ),
  );
}

/** The vectors of the project's notes, where they are at hand. */
function sharedCases(): Case[] {
  const path = shared('ggml_golden.json');
  if (!path) return [];
  const golden = JSON.parse(readFileSync(path, 'utf8')) as {
    x: number[];
    w: number[];
    types: Record<string, Record<'plain' | 'imatrix', { hex: string; dequant: number[] }>>;
  };
  return ggmlTypeNames.flatMap((type) =>
    (['plain', 'imatrix'] as const).map(
      (how): Case => ({
        type,
        title: `shared ${how}`,
        x: Float32Array.from(golden.x),
        ...(how === 'imatrix' && { importance: Float32Array.from(golden.w) }),
        blocks: new Uint8Array(Buffer.from(golden.types[type]![how].hex, 'hex')),
        values: (decoded) => {
          // printed with nine digits, which name a float32
          golden.types[type]![how].dequant.forEach((value, i) => {
            expect(decoded[i]! + 0).toBe(Math.fround(value) + 0);
          });
        },
      }),
    ),
  );
}

function floats(base64: string): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(base64, 'base64')).buffer);
}

describe('gguf layout', () => {
  it.each(ggmlTypeNames)('%s: whatever a block holds is read and written back', (type) => {
    const { block, bytes } = ggmlType(type);
    const format = createFormat({ kind: 'ggml', type });
    fc.assert(
      fc.property(fc.uint8Array({ minLength: bytes, maxLength: bytes }), (data) => {
        const tensor = { dtype: 'U8', shape: [1, bytes], data } as const;
        let read: QuantizedMatrix;
        try {
          read = atOnce(gguf.unpack(new Map([[`weight.${type}`, tensor]]), format.spec, 1, block));
        } catch (error) {
          // a scale of Inf or NaN, a digit that ternary types do not have
          expect((error as Error).message).toMatch(/expected a finite number|beyond 2/);
          return;
        }
        // 243 values of five digits take 243 of 256 bytes
        if (type !== 'tq1_0') expect(bytesOf(read)).toEqual(data);
        // 6 · 2^126 is beyond float32; whoever decodes it says so
        if (type !== 'mxfp4') expect(decodeMatrix(read).data.every(Number.isFinite)).toBe(true);
        expect(read.codes.every((code) => code < format.levels)).toBe(true);
      }),
    );
  });

  it('names what it cannot hold', () => {
    const spec = { kind: 'ggml', type: 'q4_k' } as const;
    expect(gguf.rejects(spec, 4, 512)).toBeUndefined();
    expect(gguf.rejects(spec, 4, 352)).toMatch(/352 inputs are not a multiple/);
    expect(() => createFormat({ kind: 'ggml', type: 'q9' as GgmlTypeName })).toThrow(/Format type is "q9"/);
    expect(() => atOnce(gguf.unpack(new Map(), spec, 4, 256))).toThrow(/weight.q4_k is missing/);
  });

  it('describes modules, and recognises the description', () => {
    const config = gguf.describe(new Map([['model.layers.0.mlp.up_proj', { kind: 'ggml', type: 'q6_k' }]]), []);
    const reading = gguf.recognise(config);
    expect(reading?.format('model.layers.0.mlp.up_proj')).toEqual({ kind: 'ggml', type: 'q6_k' });
    expect(reading?.format('lm_head')).toBeUndefined();
    expect(gguf.recognise({ quant_method: 'gptq' })).toBeUndefined();
    expect(() => gguf.recognise({ quant_method: 'gguf', modules: { a: 'iq1_s' } })).toThrow(/iq1_s, which is not read/);
  });
});
