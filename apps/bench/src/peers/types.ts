import type { ModelPlan } from '@fewbit/models';
import type { Run } from '../take-turns.js';

/** What is asked of an engine, the same for Fewbit and for its peers. */
export interface Task {
  /** Tokens of a prompt, taken at once. */
  readonly prompt: Uint32Array;
  /** Tokens to generate, greedily, after the prompt's first one. */
  readonly generate: number;
  /** Of a batch: how many of the prompt's tokens each of its sequences has behind it; none where no batch is asked for. */
  readonly contexts: readonly number[];
}

/** A model of the same shape running in another engine; figures are tokens per second. */
export interface Peer {
  readonly name: string;
  /** The engine's own name of the weights' format. */
  readonly type: string;
  readonly prefill: Run;
  readonly decode: Run;
  /** Tokens of all sequences of the task's batch together. Absent where it has none, or the engine runs none. */
  readonly batch?: Run | undefined;
  close(): Promise<void>;
}

/** Opens a peer with weights of `plan`'s shape in its format nearest to `format`, or says why it cannot. */
export type PeerProbe = (options: {
  plan: ModelPlan;
  /** `int4`, … */
  format: string;
  /** Inputs that share a scale; null where another granularity does. */
  group: number | null;
  task: Task;
  threads: number;
}) => Promise<Peer | { readonly unavailable: string }>;

/** The same matrix product in another engine. */
export interface MatmulPeer {
  readonly name: string;
  readonly type: string;
  /** Every copy's product once. */
  run(): Promise<unknown>;
  close(): Promise<void>;
}

/** Opens x [m, k] · wᵀ with `copies` different weights [n, k], or says why there is none. */
export type MatmulPeerProbe = (options: {
  m: number;
  k: number;
  n: number;
  /** `f32`, `int4`, … */
  format: string;
  /** Inputs that share a scale; null where another granularity does. */
  group: number | null;
  copies: number;
  threads: number;
}) => Promise<MatmulPeer | { readonly unavailable: string }>;
