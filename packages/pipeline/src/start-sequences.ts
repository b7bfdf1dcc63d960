import type { Backend } from '@fewbit/kernels';
import type { ModelPlan } from '@fewbit/models';
import { embedTokens, type Globals, type WeightSource } from '@fewbit/runtime';
import { backendPlace, hostPlace, type Place } from './place.js';
import { inputWidth } from './plan/state-sizes.js';
import { release, type SequenceState } from './sequence-state.js';
import { openSpill } from './spill.js';

/** A sequence on its way through the model: once with the weights rounded so far, and where asked for once as it was. */
export interface Sequence {
  readonly quantized: SequenceState;
  readonly float?: SequenceState;
  readonly tokens: Uint32Array;
  /** False for a probe that takes no part in the statistics. */
  readonly calibrates: boolean;
}

/** Where the sequences' tensors stay between two stages; a file is made beside a path. */
export type Keeping = 'backend' | 'host' | { readonly beside: string };

export interface Started {
  readonly sequences: readonly Sequence[];
  /** Lets go of all that they hold. */
  close(): Promise<void>;
}

/** Embeds the sequences of tokens, which calibrate or are but a probe. */
export async function startSequences(
  { plan }: WeightSource,
  globals: Globals,
  backend: Backend,
  tokensOfAll: readonly Uint32Array[],
  { calibrates, withFloat, keeping }: { readonly calibrates: boolean; readonly withFloat: boolean; readonly keeping: Keeping },
): Promise<Started> {
  const spill = typeof keeping === 'object' ? await openSpill(keeping.beside, backend) : undefined;
  const longest = Math.max(...tokensOfAll.map(({ length }) => length));
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
    for (const tokens of tokensOfAll) {
      const sequence: Sequence = { tokens, calibrates, quantized: await streams.quantized(tokens) };
      sequences.push(sequence);
      if (streams.float) sequences[sequences.length - 1] = { ...sequence, float: await streams.float(tokens) };
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

/** What runs through a model without calibration, to be compared when the result is read back: tokens all over the vocabulary, the same on every run. */
export function probe({ vocabulary, maxPositions }: ModelPlan): Uint32Array {
  return Uint32Array.from({ length: Math.min(64, maxPositions) }, (_, i) => (i * 7919 + 1) % vocabulary);
}
