import type { RecipeInput } from '@fewbit/presets';

/** What to quantize, and what its names do not say of it. */
export interface BenchRecipe extends RecipeInput {
  readonly method: string;
  readonly format: string;
  /** `asymmetric`, `inputs int8`: what tells it from another of the same format. */
  readonly variant?: string | undefined;
}

export type Usual = Omit<BenchRecipe, 'method'>;

const asymmetric = { symmetric: false, variant: 'asymmetric' };

/** Every numeric format at the granularity that its engines have it with, in a layout that holds it. */
export const usualRecipes: readonly Usual[] = [
  { format: 'int8', group: -1 },
  { format: 'int8', group: -1, activations: 'int8', variant: 'inputs int8' },
  { format: 'int8', group: 128 },
  { format: 'llm-int8', layout: 'bnb' },
  { format: 'fp8' },
  { format: 'fp8', activations: 'fp8', variant: 'inputs fp8' },
  { format: 'fp8-e5m2', layout: 'fewbit' },
  { format: 'mxfp8' },
  { format: 'mxfp8', activations: 'mxfp8', variant: 'inputs mxfp8' },
  { format: 'int6', group: 128 },
  { format: 'int5', group: 128 },
  { format: 'int4', group: 128 },
  { format: 'int4', group: 128, ...asymmetric },
  { format: 'int4', group: 64 },
  { format: 'int4', group: 64, ...asymmetric },
  { format: 'int4', group: 32 },
  { format: 'int4', group: 32, ...asymmetric },
  { format: 'int4', group: 32, activations: 'int8', variant: 'inputs int8' },
  { format: 'nvfp4' },
  { format: 'nvfp4', activations: 'nvfp4', variant: 'inputs nvfp4' },
  { format: 'mxfp4' },
  { format: 'mxfp4', activations: 'mxfp4', variant: 'inputs mxfp4' },
  { format: 'nf4', layout: 'bnb' },
  { format: 'nf4', layout: 'bnb', doubleQuantization: true, variant: 'double quantization' },
  { format: 'fp4', layout: 'bnb' },
  { format: 'codebook4', layout: 'fewbit' },
  { format: 'int3', group: 128, ...asymmetric },
  { format: 'int3', group: 32, ...asymmetric },
  { format: 'int3', doubleQuantization: true, layout: 'fewbit', variant: 'two-level' },
  { format: 'codebook3', layout: 'fewbit' },
  { format: 'int2', group: 32, ...asymmetric },
  { format: 'codebook2', layout: 'fewbit' },
  ...['q8_0', 'q6_k', 'q5_k_m', 'q5_1', 'q5_0', 'q4_k_m', 'q4_1', 'q4_0', 'iq4_nl', 'iq4_xs', 'q3_k_m', 'q2_k', 'tq2_0', 'tq1_0'].map(
    (format): Usual => ({ format, layout: 'gguf', variant: 'gguf' }),
  ),
];
