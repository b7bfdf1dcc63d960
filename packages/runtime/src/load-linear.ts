import type { Matrix } from '@fewbit/core';
import type { Backend, DeviceTensor } from '@fewbit/kernels';
import type { WeightSource } from './types.js';

export interface WeightOptions {
  /** Decode quantized weights to float32, whose products are exact, even where the backend has kernels for their codes. Default false. */
  readonly decode?: boolean;
  /** Hears of each quantized weight that is held as float32, and why. */
  readonly onDecoded?: (module: string, reason: string) => void;
}

/** Puts one linear's weight into the backend's memory: in the backend's own form where it has one, else as float32. */
export function loadLinear(source: WeightSource, module: string, backend: Backend, options: WeightOptions): Promise<DeviceTensor> {
  return loadWeight(source, module, () => source.linear(module), backend, options);
}

/** The same for any weight that may be stored in codes; `read` gives it decoded. */
export async function loadWeight(
  source: WeightSource,
  module: string,
  read: () => Promise<Matrix>,
  backend: Backend,
  options: WeightOptions,
): Promise<DeviceTensor> {
  const { decode = false, onDecoded } = options;
  const forms = decode ? undefined : backend.weights;
  const codes = decode ? undefined : await source.quantized(module);
  if (codes) {
    const reason = forms ? forms.rejects(codes) : `the backend '${backend.id}' has no kernels for codes`;
    if (forms && reason === undefined) return forms.upload(codes);
    onDecoded?.(module, reason!);
  }
  const weight = await read();
  return forms && !codes ? forms.upload(weight) : backend.upload(weight.data, [weight.rows, weight.cols]);
}
