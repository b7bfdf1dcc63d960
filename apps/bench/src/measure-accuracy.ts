import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readDocuments } from '@fewbit/calibration';
import { FewbitError } from '@fewbit/core';
import { type PerplexityResult, type Protocol, perplexity } from '@fewbit/eval';
import type { Backend } from '@fewbit/kernels';
import { inspectModel, openPretrained, type Pretrained, quantizePretrained } from '@fewbit/presets';
import { generate } from '@fewbit/runtime';
import type { AccuracyDocument, AccuracyRow } from './documents.js';
import { groupOfRecipe, rowLabel } from './row-label.js';
import { median } from './take-turns.js';
import type { BenchRecipe } from './usual-recipes.js';

export interface AccuracyBenchmark {
  readonly model: string;
  readonly text: string;
  /** What to quantize and measure, beside the float model. */
  readonly recipes: readonly BenchRecipe[];
  /** KL and top-1 are measured over the windows of the first. */
  readonly protocols: readonly Protocol[];
  readonly context?: number | undefined;
  readonly windows?: number | undefined;
  /** Tokens to generate for the speed. */
  readonly generate: number;
  readonly backend: Backend;
  readonly signal: AbortSignal;
  readonly onProgress?: (message: string) => void;
}

/** Quantizes a model by each recipe into a temporary folder, and measures each result against the float model. */
export async function measureAccuracy(benchmark: AccuracyBenchmark): Promise<AccuracyDocument> {
  const { model, text, recipes, backend, windows, signal, onProgress = () => undefined } = benchmark;
  const documents = await readDocuments(text);
  const folder = await mkdtemp(join(tmpdir(), 'fewbit-accuracy-'));
  const notes: string[] = [];
  const float = await openPretrained(model, backend);
  try {
    onProgress(`float: evaluating ${model}`);
    const { context, ...measured } = await measure(float, undefined, documents, benchmark);
    const { formats, bitsPerWeight } = await inspectModel(model);
    const rows: AccuracyRow[] = [{ method: 'float', format: formats[0]!.format, group: null, bitsPerWeight, ...measured, seconds: 0 }];
    for (const [index, { variant, ...recipe }] of recipes.entries()) {
      const { method, format } = recipe;
      const group = groupOfRecipe(recipe);
      const name = `${method} ${rowLabel({ format, group, variant })}`;
      const output = join(folder, String(index));
      onProgress(`${name}: quantizing`);
      try {
        const { seconds, bitsPerWeight } = await quantizePretrained({ ...recipe, model, output }, { backend, signal });
        onProgress(`${name}: evaluating`);
        const pretrained = await openPretrained(output, backend);
        try {
          const { context: _, ...measured } = await measure(pretrained, float, documents, benchmark);
          rows.push({ method, format, group, ...(variant && { variant }), bitsPerWeight, ...measured, seconds });
        } finally {
          await pretrained.close();
        }
      } catch (error) {
        if (!FewbitError.is(error) || error.code !== 'unsupported') throw error;
        notes.push(`${name} is left out: ${error.message}`);
      }
      await rm(output, { recursive: true, force: true });
    }
    const calibration = recipes[0]?.calibration?.path;
    return {
      model,
      text,
      ...(calibration && { calibration }),
      context,
      ...(windows && { windows }),
      backend: backend.id,
      rows,
      notes: [...notes, ...worseThanRtn(rows, benchmark.protocols[0]!)],
    };
  } finally {
    await float.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Notes on rows that do worse than RTN of the same format: a method that measures the model's inputs should not. */
export function worseThanRtn(rows: readonly AccuracyRow[], protocol: Protocol): string[] {
  const nearest = new Map(rows.filter(({ method }) => method === 'rtn').map((row) => [rowLabel(row), row.perplexity[protocol]!]));
  return rows.flatMap((row) => {
    const [found, rtn] = [row.perplexity[protocol]!, nearest.get(rowLabel(row))];
    if (rtn === undefined || found <= rtn) return [];
    return [`${row.method} ${rowLabel(row)} is worse than rtn: ${found.toFixed(4)} against ${rtn.toFixed(4)} (${protocol})`];
  });
}

type Measured = Omit<AccuracyRow, 'method' | 'format' | 'group' | 'variant' | 'bitsPerWeight' | 'seconds'> & { readonly context: number };

async function measure(
  { path, model, tokenizer }: Pretrained,
  float: Pretrained | undefined,
  documents: readonly string[],
  { protocols, context, windows, generate: maxTokens, signal }: AccuracyBenchmark,
): Promise<Measured> {
  const results: PerplexityResult[] = [];
  for (const protocol of protocols) {
    const baseline = results.length === 0 ? float?.model : undefined;
    results.push(
      await perplexity({
        ...{ model, tokenizer, documents, protocol, signal },
        ...(context && { context }),
        ...(windows && { windows }),
        ...(baseline && { baseline }),
      }),
    );
  }
  const [{ context: used, baseline }] = results as [PerplexityResult];
  return {
    context: used,
    bytes: (await inspectModel(path)).bytes,
    perplexity: Object.fromEntries(results.map((result) => [result.protocol, result.perplexity])),
    standardError: Object.fromEntries(results.map((result) => [result.protocol, result.standardError])),
    ...(baseline && { kl: baseline.kl, topOne: baseline.topOne }),
    decodeTokensPerSecond: await decodeRate({ model, tokenizer }, documents[0]!, maxTokens, signal),
  };
}

/** Median of three generations. */
async function decodeRate(
  { model, tokenizer }: Pick<Pretrained, 'model' | 'tokenizer'>,
  text: string,
  maxTokens: number,
  signal: AbortSignal,
): Promise<number> {
  const prompt = tokenizer.encode(text.slice(0, 400)).subarray(0, 16);
  const rates: number[] = [];
  for (let round = 0; round < 3; round++) {
    const stream = generate(model, tokenizer, { prompt, maxTokens, eos: [], signal });
    let next = await stream.next();
    while (!next.done) next = await stream.next();
    rates.push(next.value.decodeTokensPerSecond);
  }
  return median(rates);
}
