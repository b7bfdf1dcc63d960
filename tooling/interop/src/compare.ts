import type { Matrix } from '@fewbit/core';

/** What is compared with another program's model. */
interface Runs {
  /** After each of `tokens`: [tokens, vocabulary]. */
  logits(tokens: Uint32Array): Promise<Matrix>;
}

/** The likeliest `count` tokens after `prompt`, without a cache: the plain definition. */
export async function greedy(model: Runs, prompt: Uint32Array, count: number): Promise<number[]> {
  const ids = [...prompt];
  for (let i = 0; i < count; i++) {
    const { rows, cols, data } = await model.logits(Uint32Array.from(ids));
    ids.push(likeliest(data.subarray((rows - 1) * cols)));
  }
  return ids.slice(prompt.length);
}

export function likeliest(logits: Float32Array): number {
  return logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
}

/** Of a prediction, in nats. */
export function loss(logits: Float32Array, target: number): number {
  const most = logits.reduce((a, b) => Math.max(a, b));
  return Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0)) + most - logits[target]!;
}

/** ‖a − b‖ / ‖b‖ */
export function relativeDistance(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) throw new Error(`${a.length} values are compared with ${b.length}.`);
  let [distance, norm] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    distance += (a[i]! - b[i]!) ** 2;
    norm += b[i]! ** 2;
  }
  return Math.sqrt(distance / norm);
}

/** How far two perplexities of the same tokens are apart. */
export interface PerplexityAgreement {
  /** |theirs ÷ ours − 1| */
  readonly perplexity: number;
  /** What chance makes of it. */
  readonly standardError: number;
}

/** By the differences of single losses. */
export function comparePerplexities(differences: readonly number[]): PerplexityAgreement {
  const count = differences.length;
  const mean = differences.reduce((sum, each) => sum + each, 0) / count;
  const variance = differences.reduce((sum, each) => sum + (each - mean) ** 2, 0) / count;
  return { perplexity: Math.abs(Math.exp(mean) - 1), standardError: Math.sqrt(variance / count) };
}
