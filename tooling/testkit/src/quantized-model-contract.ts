import { afterAll, beforeAll, describe, expect, it } from 'vitest';
// By path: these packages test with the testkit, and a dependency back would close a cycle.
import { openModelDirectory } from '../../../packages/checkpoint/src/index.js';
import { createFormat, decodeMatrix, encodeMatrix, type FormatSpec, type QuantizedMatrix } from '../../../packages/formats/src/index.js';
import { type Backend, type BackendProbe, referenceBackend } from '../../../packages/kernels/src/index.js';
import { createCache, type ModelOptions, openModel, openWeights, type WeightSource } from '../../../packages/runtime/src/index.js';
import { relativeError } from './backend-contract.js';
import { goldenModel } from './golden-models.js';
import { shuffledGroups } from './shuffled-groups.js';

const group = (size: number) => ({ kind: 'group', size }) as const;
const channel = { kind: 'channel' } as const;

/** Formats, the most bits that an element of a matrix of 32 × 32 may take in them, with all that goes with it, and what is done to their matrices. */
const formats: Readonly<Record<string, readonly [bits: number, spec: FormatSpec, change?: (codes: QuantizedMatrix) => QuantizedMatrix]>> = {
  int4: [6, { kind: 'int', bits: 4, scheme: 'symmetric-full', granularity: group(32), scaleType: 'F16' }],
  'int4, columns in groups out of order': [
    8,
    { kind: 'int', bits: 4, scheme: 'asymmetric', granularity: group(16), scaleType: 'F16' },
    (codes) => shuffledGroups(codes, 1),
  ],
  nf4: [9, { kind: 'codebook', levels: 'nf4', bits: 4, granularity: group(64), scaleType: 'F32' }],
  'bnb-fp4': [9, { kind: 'codebook', levels: 'bnb-fp4', bits: 4, granularity: group(64), scaleType: 'F32' }],
  fp8: [18, { kind: 'float', element: 'e4m3', granularity: channel, scaleType: 'F32' }],
  'fp8-e5m2': [18, { kind: 'float', element: 'e5m2', granularity: channel, scaleType: 'F32' }],
  mxfp4: [9, { kind: 'float', element: 'e2m1', granularity: group(32), scaleType: 'E8M0' }],
  mxfp8: [18, { kind: 'float', element: 'e4m3', granularity: group(32), scaleType: 'E8M0' }],
  nvfp4: [11, { kind: 'float', element: 'e2m1', granularity: group(16), scaleType: 'E4M3' }],
  'two-level': [10, { kind: 'two-level', bits: 3, granularity: group(16), scaleBits: 3, scaleRows: 16, scaleType: 'F16' }],
  codebook3: [24, { kind: 'codebook', levels: 'fitted', bits: 3, granularity: channel, scaleType: 'F16' }],
};

/** A whole model in each kind of format on a backend with forms for all of them: its linears stay in codes, and its logits are those of the decoded model. */
export function quantizedModelContract(name: string, probe: BackendProbe): void {
  describe(`${name}: models in codes`, () => {
    const golden = goldenModel('llama');
    const { tokens } = golden.expected();
    const reference = referenceBackend();
    let backend: Backend;
    beforeAll(async () => {
      const opened = await probe({ threads: 2 });
      if ('unavailable' in opened) throw new Error(opened.unavailable);
      backend = opened;
    });
    afterAll(() => backend.close());

    const open = async (on: Backend, [, ...format]: (typeof formats)[string], options: ModelOptions) => {
      const directory = await openModelDirectory(golden.folder);
      try {
        return await openModel(rounded(await openWeights(directory), ...format), on, { keyValues: 'f32', ...options });
      } finally {
        await directory.close();
      }
    };

    it.each(Object.entries(formats))('%s', async (_, format) => {
      const before = backend.bytes;
      const model = await open(backend, format, {});
      const decoded = await open(reference, format, { decode: true });
      expect([...model.weights.values()].filter((weight) => weight.decoded !== undefined)).toEqual([]);
      expect((model.weights.get('model.layers.0.self_attn.q_proj')!.bytes * 8) / 32 ** 2).toBeLessThan(format[0]);

      const limit = model.activations === 'f32' ? 1e-5 : 5e-4; // x rounded to 16 bits: 2e-5 in each product
      const want = await decoded.logits(tokens);
      expect(relativeError((await model.logits(tokens)).data, want.data)).toBeLessThan(limit);
      const cache = createCache(model);
      const rows: number[] = [];
      for (const token of tokens) rows.push(...(await model.logits(Uint32Array.of(token), { cache })).data);
      expect(relativeError(rows, want.data)).toBeLessThan(limit);
      cache.close();
      await model.close();
      await decoded.close();
      expect(backend.bytes).toBe(before);
    });
  });
}

/** `source` with its linears rounded to the nearest levels of a format. */
function rounded(source: WeightSource, spec: FormatSpec, change = (codes: QuantizedMatrix) => codes): WeightSource {
  const { embedding, head } = source.plan;
  const apart = new Set([embedding.tokens, head.weight]);
  const quantized = async (module: string) =>
    apart.has(`${module}.weight`) ? undefined : change(encodeMatrix(await source.linear(module), createFormat(spec)));
  return { ...source, quantized, linear: async (module) => decodeMatrix((await quantized(module))!) };
}
