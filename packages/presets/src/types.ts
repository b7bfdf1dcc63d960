import type { Backend } from '@fewbit/kernels';
import type { QuantizeReport, RunPlan } from '@fewbit/pipeline';
import type { Model } from '@fewbit/runtime';
import type { Tokenizer } from '@fewbit/tokenizer';

/** A model directory opened for use: the plan, the tokenizer, the running model. */
export interface Pretrained {
  readonly path: string;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  /** Ends generation (generation_config.json, else config.json). */
  readonly eos: readonly number[];
  close(): Promise<void>;
}

/** Which backend runs, and why the others do not. */
export interface OpenedBackend {
  readonly backend: Backend;
  readonly refused: readonly { readonly id: string; readonly reason: string }[];
}

/** A checked plan of a run, before any work: what will be read, kept and written, and what that takes. */
export interface QuantizePlan extends RunPlan {
  readonly model: string;
  readonly output: string;
  readonly method: string;
  readonly format: string;
  /** The most of the weights, as a share, that is kept beside the codes; absent where none is. */
  readonly outliers?: number;
  /** How inputs are rounded; absent where they are not. */
  readonly activations?: string;
  /** How keys and values are rounded; absent where they are not. */
  readonly keyValues?: string;
  readonly layout: string;
  readonly layers: number;
  readonly parameters: number;
  /** Present when there is calibration text. */
  readonly calibrationTokens?: number;
  readonly bytes: { readonly before: number; readonly after: number };
}

export type { QuantizeReport, RunPlan };
