import type { Matrix } from '@fewbit/core';
import { matrix } from '@fewbit/core';
import type { Backend, DeviceTensor } from '@fewbit/kernels';
import type { Stage, StageContext } from '@fewbit/runtime';

/** The live tensors of a sequence between two stages, on the host: the backend holds one sequence at a time. */
export interface HostState {
  readonly residual: Matrix;
  /** Ready for the site after the stage that ran last. */
  readonly input?: Matrix;
}

/** Runs one stage of a block for one sequence. */
export async function advance(stage: Stage, state: HostState, context: Omit<StageContext, 'sequences'>): Promise<HostState> {
  const { backend } = context;
  const residual = upload(backend, state.residual);
  const input = state.input && upload(backend, state.input);
  const sequences = [{ rows: state.residual.rows, start: 0 }];
  const next = backend.step(() => ({ ...stage.run({ residual, ...(input && { input }) }, { ...context, sequences }) }));
  const after: HostState = {
    // most stages pass the residual stream on untouched
    residual: next.residual === residual ? state.residual : await download(backend, next.residual),
    ...(next.input && { input: await download(backend, next.input) }),
  };
  for (const tensor of new Set([residual, input, next.residual, next.input])) if (tensor) backend.free(tensor);
  return after;
}

export function upload(backend: Backend, { rows, cols, data }: Matrix): DeviceTensor {
  return backend.upload(data, [rows, cols]);
}

export async function download(backend: Backend, tensor: DeviceTensor): Promise<Matrix> {
  const [rows = 1, cols = 1] = tensor.shape;
  return matrix(rows, cols, await backend.download(tensor));
}
