import { type Matrix, matrix } from '@fewbit/core';
import type { Backend, DeviceTensor } from '@fewbit/kernels';
import type { Stage, StageContext } from '@fewbit/runtime';

/** A tensor between two stages: in the backend's memory, or on the host where that is too small for all sequences. */
export type Parked = DeviceTensor | Matrix;

/** The live tensors of a sequence between two stages. */
export interface SequenceState {
  readonly residual: Parked;
  /** Ready for the site after the stage that ran last. */
  readonly input?: Parked;
}

/** Runs one stage of a block for one sequence, whose new tensors are parked as its old ones were; those are gone then. */
export async function advance(stage: Stage, state: SequenceState, context: Omit<StageContext, 'sequences'>): Promise<SequenceState> {
  const { backend } = context;
  const onHost = isMatrix(state.residual);
  const residual = onBackend(backend, state.residual);
  const input = state.input && onBackend(backend, state.input);
  const sequences = [{ rows: rowsOf(state), start: 0 }];
  const next = backend.step(() => ({ ...stage.run({ residual, ...(input && { input }) }, { ...context, sequences }) }));
  const after: SequenceState = onHost
    ? {
        // most stages pass the residual stream on untouched
        residual: next.residual === residual ? state.residual : await download(backend, next.residual),
        ...(next.input && { input: await download(backend, next.input) }),
      }
    : next;
  const kept = onHost ? [] : [next.residual, next.input];
  for (const tensor of new Set([residual, input, next.residual, next.input])) if (tensor && !kept.includes(tensor)) backend.free(tensor);
  return after;
}

/** Tokens. */
export function rowsOf({ residual }: SequenceState): number {
  return isMatrix(residual) ? residual.rows : residual.shape[0]!;
}

/** Puts a tensor where it stays until the next stage; on the host for a copy. The tensor is gone then, or is the parked one itself. */
export async function park(backend: Backend, tensor: DeviceTensor, onHost: boolean): Promise<Parked> {
  if (!onHost) return tensor;
  const copy = await download(backend, tensor);
  backend.free(tensor);
  return copy;
}

/** On the host, to be read at once: it may be a view of the backend's memory. */
export async function read(backend: Backend, parked: Parked): Promise<Matrix> {
  if (isMatrix(parked)) return parked;
  if (!backend.view) return download(backend, parked);
  return matrix(parked.shape[0]!, parked.shape[1]!, await backend.view(parked));
}

/** Of a state whose tensors nothing needs any more. */
export function release(backend: Backend, { residual, input }: SequenceState): void {
  for (const parked of [residual, input]) if (parked && !isMatrix(parked)) backend.free(parked);
}

export function upload(backend: Backend, { rows, cols, data }: Matrix): DeviceTensor {
  return backend.upload(data, [rows, cols]);
}

export async function download(backend: Backend, tensor: DeviceTensor): Promise<Matrix> {
  const [rows = 1, cols = 1] = tensor.shape;
  return matrix(rows, cols, await backend.download(tensor));
}

function onBackend(backend: Backend, parked: Parked): DeviceTensor {
  return isMatrix(parked) ? upload(backend, parked) : parked;
}

function isMatrix(parked: Parked): parked is Matrix {
  return 'rows' in parked;
}
