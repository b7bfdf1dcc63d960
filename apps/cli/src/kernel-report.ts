import type { Model } from '@fewbit/runtime';
import type { Io } from './io.js';

/** What runs a model's matrices. */
export interface KernelReport {
  readonly backend: string;
  readonly description: string;
  /** Which table of kernels serves each op: the backend's own, or that of another, which it leaves the op to. */
  readonly ops: Readonly<Record<string, string>>;
  /** What products by codes do to their inputs; absent where they take them as they come. */
  readonly activations?: string;
  /** What caches keep of keys and values. */
  readonly keyValues: string;
  /** Quantized weights that are held as float32, which takes more memory and time: modules by reason. */
  readonly decoded: Readonly<Record<string, readonly string[]>>;
}

export function kernelReport({ backend, weights: held, activations, keyValues }: Model): KernelReport {
  const modules: Record<string, string[]> = {};
  for (const [module, { decoded: reason }] of held) {
    if (reason === undefined) continue;
    modules[reason] ??= [];
    modules[reason].push(module);
  }
  const { id, description, chosen: ops, weights } = backend;
  const rounding = activations === 'f32' ? undefined : weights?.activations[activations];
  return { backend: id, description, ops, ...(rounding && { activations: rounding }), keyValues, decoded: modules };
}

/** Says on stderr why a model is larger and slower than its codes; with `verbose` what runs it, and which weights those are. */
export function tellDecoded(io: Io, model: Model, verbose = false): void {
  const { backend, description, activations, keyValues, decoded } = kernelReport(model);
  const inputs = activations ? `; inputs of codes ${activations}` : '';
  if (verbose) io.stderr(`kernels: ${backend}: ${description}${inputs}; keys and values ${keyValues}\n`);
  for (const [reason, modules] of Object.entries(decoded)) {
    const weights = modules.length === 1 ? '1 quantized weight is' : `${modules.length} quantized weights are`;
    io.stderr(`fewbit: ${weights} held as float32: ${reason}${verbose ? `: ${modules.join(' ')}` : ''}.\n`);
  }
}
