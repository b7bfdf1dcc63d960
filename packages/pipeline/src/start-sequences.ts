import type { Backend } from '@fewbit/kernels';
import { embedTokens, type Globals, type WeightSource } from '@fewbit/runtime';
import { download } from './host-state.js';
import type { Sequence } from './quantize-block.js';

/** Embeds the calibration windows; without any, one short probe whose output is compared when the result is read back. */
export async function startSequences(
  source: WeightSource,
  globals: Globals,
  backend: Backend,
  windows: readonly Uint32Array[],
  withFloat: boolean,
): Promise<Sequence[]> {
  const { plan } = source;
  const calibrates = windows.length > 0;
  const sequences: Sequence[] = [];
  for (const tokens of calibrates ? windows : [probe(plan.vocabulary, Math.min(64, plan.maxPositions))]) {
    const hidden = backend.step(() => embedTokens(plan, globals, backend, [{ tokens, start: 0 }]));
    const state = { residual: await download(backend, hidden) };
    backend.free(hidden);
    sequences.push({ tokens, calibrates, quantized: state, ...(withFloat && { float: state }) });
  }
  return sequences;
}

/** Tokens all over the vocabulary, the same on every run. */
function probe(vocabulary: number, length: number): Uint32Array {
  return Uint32Array.from({ length }, (_, i) => (i * 7919 + 1) % vocabulary);
}
