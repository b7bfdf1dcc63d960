import type { Stage, StageContext } from '@fewbit/runtime';
import type { Place } from './place.js';

/** The live tensors of a sequence between two stages, each in its place. */
export interface SequenceState {
  readonly residual: Place;
  /** Ready for the site after the stage that ran last; empty before the first. */
  readonly input: Place;
}

/** Runs one stage of a block for one sequence of `rows` tokens; what it makes takes the places of what it took. */
export async function advance(
  stage: Stage,
  rows: number,
  { residual, input }: SequenceState,
  context: Omit<StageContext, 'sequences'>,
): Promise<void> {
  const { backend } = context;
  await residual.lend((before) =>
    input.lend(async (ready) => {
      const state = { residual: before!, ...(ready && { input: ready }) };
      const next = backend.step(() => ({ ...stage.run(state, { ...context, sequences: [{ rows, start: 0 }] }) }));
      try {
        // most stages pass the residual stream on untouched
        if (next.residual !== before) await residual.put(next.residual);
      } catch (error) {
        if (next.input) backend.free(next.input);
        throw error;
      }
      if (next.input) await input.put(next.input);
      else input.clear();
    }),
  );
}

/** Of a state that nothing needs any more. */
export function release({ residual, input }: SequenceState): void {
  residual.clear();
  input.clear();
}
