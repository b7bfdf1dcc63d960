import { openModelDirectory } from '@fewbit/checkpoint';
import { matrix, random } from '@fewbit/core';
import { type Backend, referenceBackend } from '@fewbit/kernels';
import { linears } from '@fewbit/models';
import { type Model, openModel, openWeights, overlay } from '@fewbit/runtime';
import { fewbitError, goldenModel, letterTokenizer } from '@fewbit/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type PerplexityOptions, perplexity } from './index.js';

const tokenizer = letterTokenizer();
let backend: Backend;
let model: Model;
/** The same with noise on its weights. */
let noisy: Model;
beforeAll(async () => {
  backend = referenceBackend();
  const directory = await openModelDirectory(goldenModel('llama').folder);
  const source = await openWeights(directory);
  model = await openModel(source, backend);
  const draw = random(1);
  const changed = linears(source.plan).map(async ({ module, rows, cols }) => {
    const { data } = await source.linear(module);
    return [
      module,
      matrix(
        rows,
        cols,
        data.map((value) => value + 0.1 * draw.normal()),
      ),
    ] as const; // prettier-ignore
  });
  noisy = await openModel(overlay(source, new Map(await Promise.all(changed))), backend);
  await directory.close();
});
afterAll(async () => {
  await model.close();
  await noisy.close();
  expect(backend.bytes).toBe(0);
});

const documents = ['HELLO THERE', 'GOOD DAY', 'A', 'HOW DO YOU DO'];
const run = (options: Partial<PerplexityOptions>) =>
  perplexity({ model, tokenizer, documents, protocol: 'document', context: 8, ...options });

/** A model whose every prediction gives `share` to the next token of the alphabet and the rest evenly to the others. */
function guesser(share: number): Model {
  const size = 64;
  const row = (token: number) =>
    Float32Array.from({ length: size }, (_, j) => Math.log(j === token + 1 ? share : (1 - share) / (size - 1)));
  const loss = (token: number, target: number) => -row(token)[target]!;
  return {
    ...model,
    plan: { ...model.plan, maxPositions: 1000 },
    backend,
    logits: async () => expect.unreachable(),
    score: async (tokens, first = 0) =>
      Float32Array.from({ length: tokens.length - 1 - first }, (_, i) => loss(tokens[first + i]!, tokens[first + i + 1]!)),
    async *logitChunks(tokens, first = 0) {
      // two rows at a time
      for (let at = first; at < tokens.length; at += 2) {
        const rows = Array.from(tokens.subarray(at, at + 2), row);
        yield matrix(rows.length, size, Float32Array.from(rows.flatMap((values) => [...values])));
      }
    },
    close: async () => {},
  };
}
const [hit, miss] = [-Math.log(0.5), -Math.log(0.5 / 63)];
const byHand = (options: Partial<PerplexityOptions>) => run({ model: guesser(0.5), ...options });

describe('perplexity, computed by hand', () => {
  it('document: each alone with BOS, cut at the context', async () => {
    // ^ABCX and ^BC: A after BOS is a miss, then hit, hit, miss; miss, hit. ^ABCDEF is cut to ^ABC
    const got = await byHand({ documents: ['ABCX', 'BC'], context: 8 });
    const losses = [miss, hit, hit, miss, miss, hit];
    expect(got).toMatchObject({ protocol: 'document', context: 8, tokens: 6, windows: 2 });
    expect(got.nll).toBeCloseTo(mean(losses), 6);
    expect(got.perplexity).toBeCloseTo(Math.exp(mean(losses)), 4);
    expect(got.standardError).toBeCloseTo(Math.exp(mean(losses)) * standardError(losses), 4);
    expect((await byHand({ documents: ['ABCDEF'], context: 4 })).nll).toBeCloseTo((miss + 2 * hit) / 3, 6);
  });

  it('gptq: one stream, inner predictions of whole windows', async () => {
    // ^AB | CDE | GX (dropped): miss, hit; hit, hit
    const got = await byHand({ documents: ['ABCDEGX'], protocol: 'gptq', context: 3 });
    expect(got).toMatchObject({ tokens: 4, windows: 2 });
    expect(got.nll).toBeCloseTo((miss + 3 * hit) / 4, 6);
    expect(await byHand({ documents: ['ABCDEGX'], protocol: 'gptq', context: 3, windows: 1 })).toMatchObject({ tokens: 2, windows: 1 });
  });

  it('llama.cpp: BOS in place of the first token, second half scored', async () => {
    // ^ABC → ^ABC, DEGH → ^EGH; predictions 2 … : of C after B, of H after G
    const got = await byHand({ documents: ['ABCDEGH'], protocol: 'llama.cpp', context: 4 });
    expect(got).toMatchObject({ tokens: 2, windows: 2 });
    expect(got.nll).toBeCloseTo(hit, 6);
    // ^EXZ: Z after X is a miss
    expect((await byHand({ documents: ['ABCDEXZ'], protocol: 'llama.cpp', context: 4 })).nll).toBeCloseTo((hit + miss) / 2, 6);
  });

  it('word: all losses over the number of words', async () => {
    const got = await byHand({ documents: ['ABC'], protocol: 'word', context: 2 });
    expect(got.tokens).toBe(3);
    expect(got.perplexity).toBeCloseTo(Math.exp(miss + 2 * hit), 1);
    expect(got.nll).toBeCloseTo((miss + 2 * hit) / 3, 6);
    const losses = [miss, hit, hit];
    expect(got.standardError / (got.perplexity * 3 * standardError(losses))).toBeCloseTo(1, 6);
    const spaced = {
      ...tokenizer,
      encode: (text: string, options?: { addSpecialTokens?: boolean }) => tokenizer.encode(text.replaceAll(' ', ''), options),
    };
    const words = await byHand({ tokenizer: spaced, documents: ['A BC', 'D'], protocol: 'word', context: 2 });
    expect(words.perplexity).toBeCloseTo(Math.exp((2 * miss + 2 * hit) / 3), 3);
  });
});

describe('a comparison', () => {
  it('with itself: no divergence, full agreement, the same perplexity', async () => {
    for (const protocol of ['document', 'gptq', 'llama.cpp', 'word'] as const) {
      const alone = await run({ protocol });
      const { baseline, perplexity: value, tokens } = await run({ protocol, baseline: model });
      expect(tokens).toBe(alone.tokens);
      expect(value / alone.perplexity).toBeCloseTo(1, 5);
      expect(baseline).toEqual({
        perplexity: value,
        kl: { mean: 0, standardError: 0, p99: 0 },
        topOne: { agreement: 1, standardError: 0 },
      });
    }
  });

  it('is what the plain formulas give', async () => {
    const { baseline, ...own } = await run({ model: noisy, baseline: model });
    const divergences: number[] = [];
    const agreements: number[] = [];
    for (const text of documents) {
      const tokens = tokenizer.encode(text).subarray(0, 8);
      const inputs = tokens.subarray(0, -1);
      const [p, q] = [await model.logits(inputs), await noisy.logits(inputs)].map(probabilities) as [number[][], number[][]];
      p.forEach((row, i) => {
        divergences.push(row.reduce((sum, share, j) => sum + share * Math.log(share / q[i]![j]!), 0));
        agreements.push(row.indexOf(Math.max(...row)) === q[i]!.indexOf(Math.max(...q[i]!)) ? 1 : 0);
      });
    }
    expect(own.tokens).toBe(divergences.length);
    expect(baseline!.kl.mean).toBeCloseTo(mean(divergences), 6);
    expect(baseline!.kl.mean).toBeGreaterThan(0.001);
    expect(baseline!.kl.standardError).toBeCloseTo(standardError(divergences), 6);
    expect(baseline!.kl.p99).toBeCloseTo(Math.max(...divergences), 6);
    expect(baseline!.topOne.agreement).toBeCloseTo(mean(agreements), 9);
    expect(baseline!.topOne.standardError).toBeCloseTo(standardError(agreements), 9);
    expect(baseline!.perplexity).toBeCloseTo((await run({})).perplexity, 3);
  });

  it('gives its memory back', async () => {
    const before = backend.bytes;
    await run({ model: noisy, baseline: model });
    expect(backend.bytes).toBe(before);
    const failing: Model = {
      ...noisy,
      logitChunks: () => {
        throw new Error('on purpose');
      },
    }; // prettier-ignore
    await expect(run({ model: failing, baseline: model })).rejects.toThrow('on purpose');
    expect(backend.bytes).toBe(before);
  });

  it('needs one vocabulary', async () => {
    const other = { ...model, plan: { ...model.plan, vocabulary: 99 } };
    await expect(run({ baseline: other })).rejects.toThrow(fewbitError('usage', /baseline has 99 tokens in its vocabulary, the model 64/));
  });
});

describe('what cannot be measured', () => {
  it.each<[string, Partial<PerplexityOptions>, string, RegExp]>([
    ['a context of one token', { context: 1 }, 'usage', /context of 1 tokens scores nothing/],
    ['a context beyond the model', { context: 65 }, 'usage', /Context 65 is more than the 64 positions/],
    ['no text', { documents: [''] }, 'calibration', /has 1 tokens; protocol document needs at least 2/],
    ['too little text', { protocol: 'gptq', context: 64 }, 'calibration', /has \d+ tokens; protocol gptq needs at least 64/],
    ['words of some windows', { protocol: 'word', windows: 1 }, 'usage', /--windows would cut one/],
  ])('%s', async (_, options, code, message) => {
    await expect(run(options)).rejects.toThrow(fewbitError(code, message));
  });

  it('stops when asked to, and tells how far it is', async () => {
    const controller = new AbortController();
    const fractions: number[] = [];
    const stopped = run({
      signal: controller.signal,
      onProgress: (fraction) => {
        fractions.push(fraction);
        if (fractions.length === 2) controller.abort();
      },
    });
    await expect(stopped).rejects.toThrow(fewbitError('cancelled', /Evaluation stopped/));
    expect(fractions).toEqual([0, 0.25]);
  });

  it('takes the context that the protocol is used to, as far as the model goes', async () => {
    const long = { model: guesser(0.5), documents: ['ABC'.repeat(1000)], tokenizer };
    const { context: _, ...rest } = { context: 0, ...long };
    expect((await perplexity({ ...rest, protocol: 'gptq' })).context).toBe(1000);
    expect((await perplexity({ ...rest, protocol: 'llama.cpp' })).context).toBe(512);
  });
});

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const standardError = (values: readonly number[]) =>
  Math.sqrt(values.reduce((sum, value) => sum + (value - mean(values)) ** 2, 0) / (values.length - 1) / values.length);

/** Softmax of each row. */
function probabilities({ rows, cols, data }: { rows: number; cols: number; data: Float32Array }): number[][] {
  return Array.from({ length: rows }, (_, i) => {
    const weights = Array.from(data.subarray(i * cols, (i + 1) * cols), Math.exp);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return weights.map((weight) => weight / total);
  });
}
