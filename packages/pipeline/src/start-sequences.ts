import type { Backend } from '@fewbit/kernels';
import { linears, type ModelPlan } from '@fewbit/models';
import { embedTokens, type Globals, type WeightSource } from '@fewbit/runtime';
import type { Sequence } from './quantize-block.js';
import { park } from './sequence-state.js';

/**
 * Embeds the calibration windows; without any, one short probe whose output is compared when the result is read back. What they hold is to be
 * released, also of those that `sequences` already has when this throws.
 */
export async function startSequences(
  source: WeightSource,
  globals: Globals,
  backend: Backend,
  windows: readonly Uint32Array[],
  withFloat: boolean,
  sequences: Sequence[],
): Promise<void> {
  const { plan } = source;
  const calibrates = windows.length > 0;
  const all = calibrates ? windows : [probe(plan.vocabulary, Math.min(64, plan.maxPositions))];
  const onHost = !fits(plan, backend, all, withFloat ? 2 : 1);
  const start = async (tokens: Uint32Array) => {
    const hidden = backend.step(() => embedTokens(plan, globals, backend, [{ tokens, start: 0 }]));
    return { residual: await park(backend, hidden, onHost) };
  };
  for (const tokens of all) {
    const sequence: Sequence = { tokens, calibrates, quantized: await start(tokens) };
    sequences.push(sequence);
    if (withFloat) sequence.float = await start(tokens);
  }
}

/** Whether the tensors of all sequences between two stages take at most half of what the backend's memory has left. */
function fits(plan: ModelPlan, { capacity, bytes }: Backend, windows: readonly Uint32Array[], streams: number): boolean {
  if (capacity === undefined) return true;
  const tokens = windows.reduce((sum, window) => sum + window.length, 0);
  const widest = Math.max(...linears(plan).map(({ cols }) => cols));
  return tokens * streams * (plan.hidden + widest) * 4 <= (capacity - bytes) / 2;
}

/** Tokens all over the vocabulary, the same on every run. */
function probe(vocabulary: number, length: number): Uint32Array {
  return Uint32Array.from({ length }, (_, i) => (i * 7919 + 1) % vocabulary);
}
