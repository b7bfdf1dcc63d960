import type { BesideCodes, HostMemory, OrderedMatrix } from '@fewbit/kernels';
import type { LevelsShape, QuantizedShape } from './addon.js';
import type { NativeArray } from './native-heap.js';

/** How a weight lies in native memory, where not as float32. */
export type WeightForm = FloatForm | CodedForm;

export type CodedForm = (
  | { readonly kind: 'codes'; readonly shape: QuantizedShape }
  | { readonly kind: 'levels'; readonly shape: LevelsShape }
) &
  BesideCodes;

/** Floats, row-major. */
export interface FloatForm {
  readonly kind: 'bf16' | 'f32';
  /** The pages of a file that they lie in, where they do. */
  readonly map?: { readonly address: number; readonly bytes: number };
}

/** Memory for a weight: it is waited for where something behind its codes is written at once. */
export function roomFor(
  { hold, holdEmpty }: HostMemory<NativeArray>,
  { outliers, columnOrder }: OrderedMatrix,
): Pick<HostMemory<NativeArray>, 'hold'> {
  return { hold: outliers || columnOrder ? hold : holdEmpty };
}
