import { z } from 'zod';

const machine = z.object({
  cpu: z.string(),
  /** Of the backend that took the limits. */
  threads: z.int().positive(),
  /** GB/s: all threads read more memory than the caches hold. */
  readBandwidth: z.number().positive(),
  /** GFLOP/s of a float32 matrix product. */
  gemmPeak: z.number().positive(),
  /** GFLOP/s of a product of 8-bit codes by inputs of 8 bits, a multiply-add counted as two; of `kernels`, where the backend has such products. */
  integerPeak: z.number().positive().optional(),
  /** Which backend read and multiplied. */
  measuredBy: z.string(),
});
export type Machine = z.infer<typeof machine>;

const peer = z.object({ name: z.string(), type: z.string() });

const served = {
  /** The backend, and which table of kernels served the op. */
  backend: z.string(),
  kernel: z.string(),
};

const modelRow = z.object({
  what: z.enum(['decode', 'prefill', 'batch']),
  shape: z.string(),
  format: z.string(),
  /** Inputs that share a scale; null where another granularity does. */
  group: z.int().nullable(),
  /** What products with the linear layers' weights round their inputs to; f32 where they take them as they come. */
  activations: z.enum(['f32', 'int16', 'int8']),
  ...served,
  /** Of prefill: of the prompt; of decode: generated after one token of context; of batch: generated for each sequence. */
  tokens: z.int().positive(),
  /** Median of the rounds; of batch: those of all sequences together. */
  tokensPerSecond: z.number().positive(),
  /** Only of batch: sequences at different positions, tokens per second of each, and of all of them when each has its tokens after the other. */
  sequences: z.int().positive().optional(),
  perSequence: z.number().positive().optional(),
  oneByOne: z.number().positive().optional(),
  /** tokensPerSecond ÷ oneByOne. */
  gain: z.number().positive().optional(),
  /** Decode: bytes of weights that one token reads, as the backend holds them. Batch: the same, shared among its sequences. Prefill: floating-point operations per token. */
  work: z.number().positive(),
  /** work × tokensPerSecond ÷ readBandwidth (decode, batch) or gemmPeak (prefill; integer kernels may pass 1). */
  fractionOfLimit: z.number().positive(),
  peer: peer.extend({ tokensPerSecond: z.number().positive() }).optional(),
  /** tokensPerSecond ÷ the peer's. */
  ratio: z.number().positive().optional(),
});
export type ModelRow = z.infer<typeof modelRow>;

/** Bytes, before limits and peers are measured. */
const memory = z.object({
  /** Held by the backend once the model is loaded. */
  weights: z.int().positive(),
  /** Keys and values of the prompt and one token. */
  cache: z.int().positive(),
  /** Most that the process had in memory while it loaded the model, ran the prompt and a token. */
  peakResident: z.int().positive(),
  /** peakResident ÷ weights − 1. */
  overWeights: z.number(),
});
export type MemoryFigures = z.infer<typeof memory>;

/** Milliseconds that other work of the process waits for its turn: the median turn, one in a hundred, the longest. */
const lag = z.object({ p50: z.number().nonnegative(), p99: z.number().nonnegative(), max: z.number().nonnegative() });
export type LagFigures = z.infer<typeof lag>;

/** The `--json` document of `fewbit-bench model`. */
export const modelDocument = z.object({
  machine,
  memory,
  /** While the model runs, of each kind that is measured, and while it is loaded, of a checkpoint in codes. */
  eventLoopLag: z.partialRecord(z.enum(['load', 'decode', 'prefill', 'batch']), lag),
  rounds: z.int().positive(),
  rows: z.array(modelRow),
  /** What could not be measured, and why. */
  notes: z.array(z.string()),
});
export type ModelDocument = z.infer<typeof modelDocument>;

const kernelRow = z.object({
  op: z.string(),
  shape: z.string(),
  /** Of the weight, or of pages of keys and values; absent for ops without them. */
  format: z.string().optional(),
  /** Of the product: what its inputs are rounded to; absent for ops without a weight. */
  activations: z.enum(['f32', 'int16', 'int8']).optional(),
  ...served,
  milliseconds: z.number().positive(),
  rate: z.number().positive(),
  unit: z.enum(['GB/s', 'GFLOP/s']),
  /** What the rate is compared with. */
  limit: z.enum(['readBandwidth', 'gemmPeak', 'integerPeak']),
  /** rate ÷ that. */
  fractionOfLimit: z.number().positive(),
  peer: peer.extend({ milliseconds: z.number().positive() }).optional(),
  /** The peer's milliseconds ÷ milliseconds. */
  ratio: z.number().positive().optional(),
});
export type KernelRow = z.infer<typeof kernelRow>;

/** The `--json` document of `fewbit-bench kernels`. */
export const kernelsDocument = z.object({
  machine,
  rounds: z.int().positive(),
  rows: z.array(kernelRow),
  notes: z.array(z.string()),
});
export type KernelsDocument = z.infer<typeof kernelsDocument>;

const byProtocol = z.partialRecord(z.enum(['gptq', 'document', 'llama.cpp', 'word']), z.number());

const accuracyRow = z.object({
  /** `float` for the model as it is. */
  method: z.string(),
  format: z.string(),
  group: z.int().nullable(),
  /** What tells it from another row of the same format: `asymmetric`, `inputs int8`, `gguf`. */
  variant: z.string().optional(),
  /** Of the quantized layers, scales and zero points counted; of the float model's weights. */
  bitsPerWeight: z.number().positive(),
  /** Of the whole checkpoint. */
  bytes: z.int().positive(),
  perplexity: byProtocol,
  /** Of each perplexity. */
  standardError: byProtocol,
  /** To the float model over the predictions of the first protocol, nats per prediction. */
  kl: z.object({ mean: z.number(), standardError: z.number(), p99: z.number() }).optional(),
  /** How often both models find the same token likeliest. */
  topOne: z.object({ agreement: z.number(), standardError: z.number() }).optional(),
  decodeTokensPerSecond: z.number().positive(),
  /** Of quantizing; 0 for the float model. */
  seconds: z.number().nonnegative(),
});
export type AccuracyRow = z.infer<typeof accuracyRow>;

/** The `--json` document of `fewbit-bench accuracy`. */
export const accuracyDocument = z.object({
  model: z.string(),
  text: z.string(),
  calibration: z.string().optional(),
  context: z.int().positive(),
  windows: z.int().positive().optional(),
  backend: z.string(),
  rows: z.array(accuracyRow),
  notes: z.array(z.string()),
});
export type AccuracyDocument = z.infer<typeof accuracyDocument>;

/** What `fewbit-bench checkpoint --json` prints. */
export const checkpointDocument = z.object({
  output: z.string(),
  shape: z.string(),
  format: z.string(),
  /** Of the weights in the file. */
  bytes: z.int().positive(),
});
export type CheckpointDocument = z.infer<typeof checkpointDocument>;
