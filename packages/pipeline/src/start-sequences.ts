import type { CalibrationSet } from '@fewbit/calibration';
import type { Backend } from '@fewbit/kernels';
import type { ModelPlan } from '@fewbit/models';
import { embedTokens, type Globals, type WeightSource } from '@fewbit/runtime';
import { backendPlace, hostPlace, type Place } from './place.js';
import { inputWidth } from './plan/state-sizes.js';
import { release, type SequenceState } from './sequence-state.js';
import { openSpill } from './spill.js';

export interface SequenceTokens {
  readonly tokens: Uint32Array;
  /** False for a probe, which takes no part in the statistics and whose output is compared when the result is read back. */
  readonly calibrates: boolean;
}

/** A sequence on its way through the model: once with the weights rounded so far, and where asked for once as it was. */
export interface Sequence extends SequenceTokens {
  readonly quantized: SequenceState;
  readonly float?: SequenceState;
}

/** Where the sequences' tensors stay between two stages; a file is made beside a path. */
export type Keeping = 'backend' | 'host' | { readonly beside: string };

export interface Started {
  readonly sequences: readonly Sequence[];
  /** Lets go of all that they hold. */
  close(): Promise<void>;
}

/** Embeds sequences of tokens; those that calibrate in two streams, `withFloat`. */
export async function startSequences(
  { plan }: WeightSource,
  globals: Globals,
  backend: Backend,
  all: readonly SequenceTokens[],
  { withFloat, keeping }: { readonly withFloat: boolean; readonly keeping: Keeping },
): Promise<Started> {
  const spill = typeof keeping === 'object' ? await openSpill(keeping.beside, backend) : undefined;
  const longest = Math.max(...all.map(({ tokens }) => tokens.length));
  const stream = () => {
    const place = spill?.places(longest * Math.max(plan.hidden, inputWidth(plan))) ?? (() => memoryPlace(backend, keeping));
    return async (tokens: Uint32Array): Promise<SequenceState> => {
      const state = { residual: place(tokens.length * plan.hidden), input: place(tokens.length * inputWidth(plan)) };
      await state.residual.put(backend.step(() => embedTokens(plan, globals, backend, [{ tokens, start: 0 }])));
      return state;
    };
  };
  const streams = withFloat ? { quantized: stream(), float: stream() } : { quantized: stream() };
  const sequences: Sequence[] = [];
  const close = async () => {
    for (const { quantized, float } of sequences) for (const state of [quantized, float]) if (state) release(state);
    await spill?.close();
  };
  try {
    for (const { tokens, calibrates } of all) {
      const sequence: Sequence = { tokens, calibrates, quantized: await streams.quantized(tokens) };
      sequences.push(sequence);
      if (streams.float && calibrates) sequences[sequences.length - 1] = { ...sequence, float: await streams.float(tokens) };
    }
    return { sequences, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function memoryPlace(backend: Backend, keeping: Keeping): Place {
  return keeping === 'backend' ? backendPlace(backend) : hostPlace(backend);
}

/** The windows of a calibration set, in turn. */
export function calibrating({ windows }: CalibrationSet): SequenceTokens[] {
  return windows.map((tokens) => ({ tokens, calibrates: true }));
}

/** Tokens all over the vocabulary, the same on every run. */
export function probe({ vocabulary, maxPositions }: ModelPlan): SequenceTokens {
  const tokens = Uint32Array.from({ length: Math.min(64, maxPositions) }, (_, i) => (i * 7919 + 1) % vocabulary);
  return { tokens, calibrates: false };
}
