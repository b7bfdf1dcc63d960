import fc from 'fast-check';
import { expect, it } from 'vitest';
import { atOnce, fromF16, toF16 } from '../../../packages/core/src/index.js';
import { roundActivations } from '../../../packages/formats/src/index.js';
import type { AttentionOptions, Backend, DeviceTensor, PageForm } from '../../../packages/kernels/src/index.js';
import { referenceBackend } from '../../../packages/kernels/src/index.js';
import { relativeError, sameBits } from './backend-contract.js';
import { roundings } from './rounding-contract.js';
import { opTolerances } from './tolerances.js';
import { values } from './values.js';

/** Sequences of `start` + m positions, the last m of which attend. */
interface Case {
  readonly q: Float32Array;
  readonly keys: Float32Array;
  readonly values: Float32Array;
  readonly pageRows: number;
  readonly m: number;
  readonly options: AttentionOptions;
}

const cases = fc
  .record({
    m: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 6, max: 70 })),
    start: fc.nat(130),
    pageRows: fc.integer({ min: 1, max: 90 }),
    keyValueHeads: fc.integer({ min: 1, max: 3 }),
    group: fc.constantFrom(1, 3, 4, 6),
    headSize: fc.constantFrom(2, 6, 16, 30, 64),
    window: fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined }),
    damaged: fc.constantFrom(false, false, false, true),
    seed: fc.nat(1000),
  })
  .map(({ m, start, pageRows, keyValueHeads, group, headSize, window, damaged, seed }): Case => {
    const heads = keyValueHeads * group;
    const count = (start + m) * keyValueHeads * headSize;
    const keys = values(count, seed, 2);
    if (damaged) keys[count - 1] = Number.NaN;
    return {
      ...{ q: values(m * heads * headSize, seed + 2, 3), keys, values: values(count, seed + 1), pageRows, m },
      options: { heads, keyValueHeads, headSize, start, scale: 1 / Math.sqrt(headSize), ...(window && { window }) },
    };
  });

/** Pages of a KV cache in each form that a backend has: attention sees what rounding leaves of the rows, in whatever pieces they were stored. */
export function pageContract(backends: () => readonly [Backend, Backend]): void {
  refusals(backends);
  it.each(Object.entries<PageForm>({ f16: 'f16', ...roundings }))('pages of the KV cache: %s', async (_, form) => {
    const [backend, single] = backends();
    const { pages } = backend;
    if (!pages) return;
    await fc.assert(
      fc.asyncProperty(cases, async (given) => {
        const { keyValueHeads, headSize } = given.options;
        if (pages.rejects(form, keyValueHeads * headSize) !== undefined) return;
        const got = await attend(backend, given, form);
        const rows = given.m + given.options.start;
        const rounded = { ...given, keys: round(given.keys, rows, form), values: round(given.values, rows, form) };
        expect(relativeError(got, await attend(reference, rounded))).toBeLessThanOrEqual(opTolerances.attention);
        if (got.some(Number.isNaN)) return;
        // in form or not, the kernels see the same numbers
        expect(sameBits(got, await attend(backend, rounded))).toBe(true);
        expect(sameBits(got, await attend(single, given, form))).toBe(true);
      }),
      { numRuns: 25, seed: 1 },
    );
  });
}

/** Int8 with a scale per row; `outlierThreshold` is what no page has. */
const int8 = (outlierThreshold?: number): PageForm => ({
  spec: {
    format: { kind: 'int', bits: 8, scheme: 'symmetric-full', granularity: { kind: 'channel' }, scaleType: 'F32' },
    scaling: 'dynamic',
    ...(outlierThreshold && { outlierThreshold }),
  },
});

/** Pages are not mistaken for anything else, nor anything else for pages. */
function refusals(backends: () => readonly [Backend, Backend]): void {
  it('pages are neither weights nor tensors, and weights no pages', () => {
    const [backend] = backends();
    const { ops, pages } = backend;
    if (!pages) return;
    const held: DeviceTensor[] = [];
    const keep = (tensor: DeviceTensor) => {
      held.push(tensor);
      return tensor;
    };
    const [page, other] = [keep(pages.create([8, 16], 'f16')), keep(pages.create([8, 16], int8()))];
    const odd = keep(
      pages.create([8, 6], {
        spec: {
          format: { kind: 'int', bits: 4, scheme: 'asymmetric', granularity: { kind: 'channel' }, scaleType: 'F32' },
          scaling: 'dynamic',
        },
      }),
    );
    const [x, narrow] = [keep(backend.upload(new Float32Array(16), [1, 16])), keep(backend.upload(new Float32Array(6), [1, 6]))];
    const weight = keep(atOnce(backend.weights!.upload({ rows: 16, cols: 16, data: new Float32Array(256).fill(1) })));
    const options = { heads: 1, keyValueHeads: 1, headSize: 16, scale: 1, start: 0 };
    expect(() => ops.add(page, page)).toThrow(/only matmul and embed/);
    expect(() => ops.matmul(x, page)).toThrow(/page of shape \[8, 16\] of a KV cache is no weight/);
    expect(() => ops.embed(page, Uint32Array.of(1))).toThrow(/is no weight/);
    expect(() => ops.store(weight, x, 0)).toThrow(/weight of shape \[16, 16\] is no page/);
    expect(() => ops.attention(x, [page, other], [page, page], options)).toThrow(/in two forms/);
    const threes = { ...options, heads: 2, keyValueHeads: 2, headSize: 3 };
    expect(() => ops.attention(narrow, [odd], [odd], threes)).toThrow(/Heads of 3, an odd size/);
    expect(pages.rejects(int8(6), 16)).toMatch(/have no pages/);
    expect(() => pages.create([8, 16], int8(6))).toThrow(/keep rounded rows in a tensor/);
    for (const tensor of held) backend.free(tensor);
  });
}

const reference = referenceBackend();

/** The output of attention over pages of a form, or of float32. */
async function attend(on: Backend, { q, keys, values, pageRows, m, options }: Case, form?: PageForm): Promise<Float32Array> {
  const { start, heads, keyValueHeads, headSize } = options;
  const n = keyValueHeads * headSize;
  const pagesOf = (rows: Float32Array): DeviceTensor[] => {
    const whole = on.upload(rows, [start + m, n]);
    const pages = Array.from({ length: Math.ceil((start + m) / pageRows) }, () =>
      form ? on.pages!.create([pageRows, n], form) : on.upload(new Float32Array(pageRows * n), [pageRows, n]),
    );
    on.step(() => {
      // what was there before in long pieces, the new rows one by one
      for (let at = 0, count: number; at < start + m; at += count) {
        const place = at % pageRows;
        count = at < start ? Math.min(start - at, pageRows - place) : 1;
        on.ops.store(pages[Math.floor(at / pageRows)]!, on.ops.rows(whole, at, count), place);
      }
    });
    on.free(whole);
    return pages;
  };
  const [k, v] = [pagesOf(keys), pagesOf(values)];
  const query = on.upload(q, [m, heads * headSize]);
  const out = on.step(() => on.ops.attention(query, k, v, options));
  const data = await on.download(out);
  for (const tensor of [query, out, ...k, ...v]) on.free(tensor);
  return data;
}

function round(data: Float32Array, rows: number, form: PageForm): Float32Array {
  if (form === 'f16') return Float32Array.from(data, (value) => fromF16(toF16(value)));
  return roundActivations({ rows, cols: data.length / rows, data }, form).data;
}
