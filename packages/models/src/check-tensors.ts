import { FewbitError } from '@fewbit/core';
import { linears } from './linears.js';
import type { ModelPlan, NormPlan } from './types.js';

/**
 * Throws `config`, naming the tensor with its expected and found shape, when a checkpoint does not hold what `plan` needs.
 * Weights of modules that `quantized` accepts are left to their layout; their biases are checked. So are embedding and head, where the
 * checkpoint does not have them in float.
 */
export function checkTensors(
  plan: ModelPlan,
  tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>,
  quantized: (module: string) => boolean = () => false,
): void {
  for (const [name, expected] of expectedShapes(plan, tensors, quantized)) {
    const found = tensors.get(name)?.shape;
    if (found && found.length === expected.length && found.every((size, i) => size === expected[i])) continue;
    const wanted = `config.json (${plan.architecture}) makes ${name} [${expected.join(', ')}]`;
    throw new FewbitError(
      'config',
      found
        ? `${wanted}, but the checkpoint has it as [${found.join(', ')}]: config and weights are of different models, or one is damaged.`
        : `${wanted}, but the checkpoint has no such tensor: config and weights are of different models, or a shard is missing.`,
    );
  }
}

function expectedShapes(
  plan: ModelPlan,
  tensors: { get(name: string): unknown },
  quantized: (module: string) => boolean,
): Map<string, readonly number[]> {
  const { hidden, vocabulary, maxPositions, embedding, head } = plan;
  const shapes = new Map<string, readonly number[]>();
  const norm = (part: NormPlan | undefined, size: number) => {
    if (!part) return;
    shapes.set(part.gain, [size]);
    if (part.bias) shapes.set(part.bias, [size]);
  };
  for (const name of [embedding.tokens, head.weight]) {
    if (tensors.get(name) || !quantized(name.replace(/\.weight$/, ''))) shapes.set(name, [vocabulary, hidden]);
  }
  if (embedding.positions) shapes.set(embedding.positions, [maxPositions, hidden]);
  for (const { attentionNorm, attentionPostNorm, mlpNorm, mlpPostNorm, attention } of plan.blocks) {
    for (const part of [attentionNorm, attentionPostNorm, mlpNorm, mlpPostNorm]) norm(part, hidden);
    for (const part of [attention.queryNorm, attention.keyNorm]) norm(part, attention.headSize);
  }
  for (const { module, rows, cols, bias, transposed } of linears(plan)) {
    if (!quantized(module)) shapes.set(`${module}.weight`, transposed ? [cols, rows] : [rows, cols]);
    if (bias) shapes.set(`${module}.bias`, [rows]);
  }
  norm(plan.finalNorm, hidden);
  return shapes;
}
