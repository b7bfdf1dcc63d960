import type { Matrix } from '@fewbit/core';
import type { Model } from '@fewbit/runtime';
import { Mean } from './mean.js';
import type { ScoredWindow } from './windows.js';

/** How far a model's predictions are from a baseline's, over the scored predictions. */
export interface Comparison {
  /** Of the baseline, on the same windows. */
  readonly perplexity: number;
  /** KL(baseline ‖ model) per prediction, nats. */
  readonly kl: { readonly mean: number; readonly standardError: number; readonly p99: number };
  /** How often both find the same token likeliest. */
  readonly topOne: { readonly agreement: number; readonly standardError: number };
}

/** The running sums of a comparison. */
export class Comparing {
  readonly #baselineLoss = new Mean();
  readonly #agreement = new Mean();
  readonly #divergence = new Mean();
  readonly #divergences: number[] = [];

  /**
   * Adds a window; `loss` takes the model's own losses. Both have the same vocabulary. Logits come in chunks of rows, so that no window's
   * are whole in memory.
   */
  async add(model: Model, baseline: Model, { tokens, first }: ScoredWindow, loss: Mean): Promise<void> {
    const inputs = tokens.subarray(0, -1);
    const expected = baseline.logitChunks(inputs, first);
    try {
      let row = first;
      for await (const chunk of model.logitChunks(inputs, first)) {
        const other = (await expected.next()).value as Matrix;
        for (let i = 0; i < chunk.rows; i++, row++) {
          this.#addRow(logSoftmax(chunk, i), logSoftmax(other, i), tokens[row + 1]!, loss);
        }
      }
    } finally {
      // it stands at its last chunk, and frees its memory when it goes on or is let go
      await expected.return();
    }
  }

  #addRow(model: Float64Array, baseline: Float64Array, target: number, loss: Mean): void {
    let divergence = 0;
    let best = 0;
    let bestBaseline = 0;
    for (let j = 0; j < model.length; j++) {
      const p = baseline[j]!;
      divergence += Math.exp(p) * (p - model[j]!);
      if (model[j]! > model[best]!) best = j;
      if (p > baseline[bestBaseline]!) bestBaseline = j;
    }
    loss.add(-model[target]!);
    this.#baselineLoss.add(-baseline[target]!);
    this.#agreement.add(best === bestBaseline ? 1 : 0);
    this.#divergence.add(divergence);
    this.#divergences.push(divergence);
  }

  /** `units`: what the perplexity is per (predictions, or words). */
  result(units: number): Comparison {
    const sorted = this.#divergences.toSorted((a, b) => a - b);
    return {
      perplexity: Math.exp((this.#baselineLoss.mean * this.#baselineLoss.count) / units),
      kl: {
        mean: this.#divergence.mean,
        standardError: this.#divergence.standardError,
        p99: sorted[Math.ceil(0.99 * sorted.length) - 1] ?? 0,
      },
      topOne: { agreement: this.#agreement.mean, standardError: this.#agreement.standardError },
    };
  }
}

/** log softmax of a row, in double. */
function logSoftmax({ cols, data }: Matrix, row: number): Float64Array {
  const out = Float64Array.from(data.subarray(row * cols, (row + 1) * cols));
  let max = Number.NEGATIVE_INFINITY;
  for (const value of out) if (value > max) max = value;
  let sum = 0;
  for (const value of out) sum += Math.exp(value - max);
  const shift = max + Math.log(sum);
  for (let j = 0; j < cols; j++) out[j]! -= shift;
  return out;
}
