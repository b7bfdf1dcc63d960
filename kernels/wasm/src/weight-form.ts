import type { BesideCodes } from '@fewbit/kernels';

/** How a weight lies in memory, where not as float32. */
export type WeightForm =
  | { readonly kind: 'bf16' }
  | ({ readonly kind: 'codes' } & PackedCodes & BesideCodes)
  | ({ readonly kind: 'levels' } & BesideCodes);

/** What the header of packed codes says (assembly/packed-codes.ts), as far as JavaScript needs it. */
export interface PackedCodes {
  /** Chunks per row, and inputs per chunk with its padding. */
  readonly chunks: number;
  readonly length: number;
}
