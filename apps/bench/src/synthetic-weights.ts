import { type Matrix, matrix, random } from '@fewbit/core';
import { createFormat, decodeMatrix, encodeMatrix, type FormatSpec, type QuantizedMatrix, tileGrid } from '@fewbit/formats';
import { linears, type ModelPlan } from '@fewbit/models';
import type { WeightSource } from '@fewbit/runtime';

/** Standard deviation of the weights: activations stay finite through any depth of a normalised network. */
const spread = 0.02;
/** Rows drawn at random; larger matrices repeat them, since speed does not depend on values. */
const drawnRows = 64;

/** A model of random weights made in memory, its linears in `format`, its head (where the runtime asks for codes) in `headFormat`; norms are ones. */
export function syntheticWeights(plan: ModelPlan, format: FormatSpec, headFormat: FormatSpec, seed: number): WeightSource {
  const head = plan.head.weight.replace(/\.weight$/, '');
  const sizes = new Map(linears(plan).map(({ module, rows, cols }) => [module, { rows, cols, spec: format }]));
  sizes.set(head, { rows: plan.vocabulary, cols: plan.hidden, spec: headFormat });
  const quantized = async (module: string) => {
    const size = sizes.get(module);
    return size && randomCodes(size.rows, size.cols, size.spec, seed);
  };
  return {
    plan,
    quantized,
    linear: async (module) => decodeMatrix((await quantized(module))!),
    async vector(name) {
      if (name !== plan.embedding.tokens && name !== plan.head.weight)
        return { shape: [plan.hidden], data: new Float32Array(plan.hidden).fill(1) };
      const { data } = repeated(randomMatrix(drawnRows, plan.hidden, seed), plan.vocabulary);
      const words = new Uint32Array(data.buffer);
      for (const [i, word] of words.entries()) words[i] = word & 0xffff0000; // in bfloat16, as checkpoints have it
      return { shape: [plan.vocabulary, plan.hidden], data };
    },
    close: async () => undefined,
  };
}

/** `source` with its float linears rounded to the nearest levels of `format`, its head to those of `headFormat`. */
export function roundedWeights(source: WeightSource, format: FormatSpec, headFormat: FormatSpec): WeightSource {
  const { embedding, head, vocabulary, hidden } = source.plan;
  const round = async (module: string) => {
    const name = `${module}.weight`;
    if (name === head.weight) return encodeMatrix(matrix(vocabulary, hidden, (await source.vector(name)).data), createFormat(headFormat));
    return name === embedding.tokens ? undefined : encodeMatrix(await source.linear(module), createFormat(format));
  };
  const quantized = async (module: string) => (await source.quantized(module)) ?? (await round(module));
  return { ...source, quantized, linear: async (module) => decodeMatrix((await quantized(module))!) };
}

export function randomMatrix(rows: number, cols: number, seed: number): Matrix {
  const { normal } = random(seed);
  return matrix(
    rows,
    cols,
    Float32Array.from({ length: rows * cols }, () => normal() * spread),
  );
}

/** Rounds a few rows of random values, and repeats them; a format whose tiles are higher is rounded whole. */
export function randomCodes(rows: number, cols: number, spec: FormatSpec, seed: number): QuantizedMatrix {
  const format = createFormat(spec);
  const { tileRows } = tileGrid(format, rows, cols);
  const height = Math.min(rows, Math.ceil(drawnRows / tileRows) * tileRows);
  const base = encodeMatrix(randomMatrix(height, cols, seed), format);
  const { count } = tileGrid(format, rows, cols);
  const codes = new Uint8Array(rows * cols);
  for (let at = 0; at < codes.length; at += base.codes.length) codes.set(base.codes.subarray(0, codes.length - at), at);
  return { rows, cols, spec, codes, params: Array.from({ length: count }, (_, i) => base.params.at(i % base.params.length)) };
}

function repeated({ rows, cols, data }: Matrix, height: number): Matrix {
  const out = new Float32Array(height * cols);
  for (let at = 0; at < out.length; at += rows * cols) out.set(data.subarray(0, out.length - at), at);
  return matrix(height, cols, out);
}
