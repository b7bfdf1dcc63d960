import type { Method } from '@fewbit/algorithm';
import type { CalibrationSet, Observer } from '@fewbit/calibration';
import type { CheckpointWriter, FileDigest } from '@fewbit/checkpoint';
import type { FloatDType } from '@fewbit/core';
import type { ActivationSpec, FormatSpec, Importance, Layout } from '@fewbit/formats';
import type { Backend } from '@fewbit/kernels';
import type { MemoryPlan } from './plan/memory-plan.js';
import type { Rates } from './plan/rates.js';
import type { TimePlan } from './plan/time-plan.js';

export interface QuantizeOptions {
  /** A Hugging Face model directory. */
  readonly model: string;
  /** Must not exist. */
  readonly output: string;
  readonly method: Method;
  /**
   * The format of every linear layer of the blocks, where embeddings, norms and head stay in float; or a choice for each matrix, undefined
   * for one that stays as it is.
   */
  readonly format: FormatSpec | ((weight: WeightSite) => WeightFormat | undefined);
  /** How the inputs of those layers are rounded when the model runs, and while it is calibrated. Default: not at all. */
  readonly activation?: ActivationSpec;
  /** How keys and values are rounded before they are kept and attended to, likewise. Default: not at all. */
  readonly keyValues?: ActivationSpec;
  /** How static scales of activations, keys and values are found. Default `minmax`. */
  readonly observer?: Observer;
  readonly layout: Layout;
  /** Makes the output. Default: a Hugging Face model directory. */
  readonly createWriter?: (path: string) => Promise<CheckpointWriter & { readonly notes?: readonly string[] }>;
  /** How much an error in each input of a module counts, from elsewhere than this run's calibration (an imatrix file). */
  readonly importance?: (module: string) => Importance | undefined;
  readonly backend: Backend;
  /** Required when the method needs statistics; also fills `outputError`. */
  readonly calibration?: CalibrationSet;
  readonly seed?: number;
  /**
   * Bytes that the process may take in all. Where the sequences' tensors do not fit they are spilled to a file beside the output; the result is the same. Default: what it
   * takes already and 80 % of what is available.
   */
  readonly maxMemory?: number;
  /** What backend and method do in a second, as `checkQuantize` measures it: the progress goes by it. Default: typical rates. */
  readonly rates?: Rates;
  /** What was asked for, as JSON, for the model card. */
  readonly recipe?: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** A matrix of the model that a format may be chosen for. */
export interface WeightSite {
  readonly module: string;
  readonly role: 'linear' | 'embedding' | 'head';
  readonly rows: number;
  readonly cols: number;
}

/** Rounded to a numeric format, or to a float type. */
export type WeightFormat = FormatSpec | FloatDType;

export interface Progress {
  /** What is being done: `calibrate`, `solve`, `write`, `verify`. */
  readonly phase: 'load' | 'calibrate' | 'solve' | 'write' | 'verify';
  /** The layer or block at work. */
  readonly at: string;
  /** 0 … 1 of the whole run. */
  readonly fraction: number;
}

export interface LayerReport {
  readonly name: string;
  readonly format: string;
  /** How its inputs are rounded; absent where they are not. */
  readonly activation?: string;
  /** Share of the weights that are kept beside the codes; absent where none is. */
  readonly outliers?: number;
  readonly bitsPerWeight: number;
  readonly bytes: number;
  /** ‖W−Ŵ‖²/‖W‖² */
  readonly weightError: number;
  /** ‖(W−Ŵ)X‖²/‖WX‖² over the calibration inputs, rounded where activations are. */
  readonly outputError?: number;
  readonly notes: readonly string[];
}

/** What a run will take, before any work. */
export interface RunPlan {
  readonly memory: MemoryPlan;
  /** Absent where no rates were measured. */
  readonly time?: TimePlan;
}

/** The `--json` document of `fewbit quantize`. */
export interface QuantizeReport {
  readonly output: string;
  readonly method: string;
  readonly layout: string;
  /** How inputs are rounded; absent where they are not. */
  readonly activations?: string;
  /** How keys and values are rounded; absent where they are not. */
  readonly keyValues?: string;
  readonly bytes: { readonly before: number; readonly after: number };
  /** Over the quantized layers; scales, zero points, codebooks and outliers counted. */
  readonly bitsPerWeight: number;
  readonly seconds: number;
  /** Bytes: the largest resident set of the process. */
  readonly peakMemory: number;
  /** What was foretold. */
  readonly planned: RunPlan;
  readonly calibration?: { readonly source: string; readonly sequences: number; readonly length: number; readonly tokens: number };
  readonly layers: readonly LayerReport[];
  /** Seconds by phase. */
  readonly phases: Readonly<Record<string, number>>;
  /** What ran it; `description` is a line for people: instruction set, threads. */
  readonly backend: { readonly id: string; readonly description: string; readonly threads: number };
  /** Which table of kernels served each op: the backend's own, or that of another, which it leaves the op to. */
  readonly kernels: Readonly<Record<string, string>>;
  /** Relative L2 difference of the logits of the written checkpoint, read back, to those of the model in memory. */
  readonly readBack: number;
  readonly notes: readonly string[];
  /** What was written, with hashes; the model card, which says the same, apart. */
  readonly files: readonly FileDigest[];
}

/** Float types in which weights are stored. */
export type FloatType = 'F32' | 'F16' | 'BF16';
