import { FewbitError, type Matrix } from '@fewbit/core';
import type { QuantizedMatrix } from '@fewbit/formats';
import type { ActivationPrecision, Backend, DeviceTensor } from '@fewbit/kernels';
import { giveTurn, inTurns } from './next-turn.js';
import type { WeightSource } from './types.js';

export interface WeightOptions {
  /** Decode quantized weights to float32, whose products are exact, even where the backend has kernels for their codes. Default false. */
  readonly decode?: boolean;
  /**
   * What the inputs of weights that stay in codes are rounded to; 'int8' is faster and loses some accuracy. Default 'int16'. 'f32': not at all; weights whose
   * kernels round their inputs are decoded to float32. Throws `usage` where the backend has no such products.
   */
  readonly activations?: ActivationPrecision | 'f32';
  /** Hears of each weight that may be quantized. */
  readonly onLoaded?: (module: string, weight: LoadedWeight) => void;
}

/** How a backend holds a weight. */
export interface LoadedWeight {
  readonly bytes: number;
  /** What products with it round their inputs to; 'f32': they take them as they come. */
  readonly activations: ActivationPrecision | 'f32';
  /** Why a quantized weight was decoded, where it was because the backend has no form for it. */
  readonly decoded?: string;
}

/** Puts one linear's weight into the backend's memory: in the backend's own form where it has one, else as float32. */
export function loadLinear(source: WeightSource, module: string, backend: Backend, options: WeightOptions): Promise<DeviceTensor> {
  return loadWeight(source, module, () => source.linear(module), backend, options, false);
}

/**
 * The same for any weight that may be stored in codes; `read` gives it decoded. `inPlace`: where the backend can use a float one as it lies in the checkpoint's file, it
 * stays there.
 */
export async function loadWeight(
  source: WeightSource,
  module: string,
  read: () => Promise<Matrix>,
  backend: Backend,
  { decode = false, activations = 'int16', onLoaded }: WeightOptions,
  inPlace: boolean,
): Promise<DeviceTensor> {
  requireActivations(backend, activations);
  const loaded = (tensor: DeviceTensor, rest: Omit<LoadedWeight, 'bytes'>) => {
    onLoaded?.(module, { bytes: backend.bytes - before, ...rest });
    return tensor;
  };
  const forms = decode ? undefined : backend.weights;
  const codes = decode ? undefined : await source.quantized(module);
  const reason = codes && whyDecoded(codes, backend, activations);
  await giveTurn();
  // while one weight is packed the next is read, and no more than two are in memory as the file has them
  await backend.finish?.();
  let before = backend.bytes;
  if (codes && forms && reason === undefined) {
    const options = activations === 'f32' ? {} : { activations };
    return loaded(await inTurns(forms.upload(codes, options)), { activations: forms.rounds(codes) ? activations : 'f32' });
  }
  const stored = !codes && forms?.uploadStored ? await source.stored?.(module) : undefined;
  before = backend.bytes;
  const uploaded = stored && (await inTurns(forms!.uploadStored!(stored.tensor, { inPlace })));
  stored?.release();
  if (uploaded) return loaded(uploaded, { activations: 'f32' });
  const weight = await read();
  before = backend.bytes;
  const tensor = forms && !codes ? await inTurns(forms.upload(weight)) : backend.upload(weight.data, [weight.rows, weight.cols]);
  return loaded(tensor, { activations: 'f32', ...(reason !== undefined && { decoded: reason }) });
}

function whyDecoded(codes: QuantizedMatrix, { id, weights }: Backend, activations: ActivationPrecision | 'f32'): string | undefined {
  if (!weights) return `the backend '${id}' has no kernels for codes`;
  const reason = weights.rejects(codes);
  if (reason !== undefined) return reason;
  return activations === 'f32' && weights.rounds(codes) ? 'products of its codes round their inputs, and float32 was asked for' : undefined;
}

/** 'int16' allows what is more exact, so every backend has it. */
function requireActivations({ id, weights }: Backend, activations: ActivationPrecision | 'f32'): void {
  if (activations === 'f32' || activations === 'int16' || weights?.activations[activations]) return;
  throw new FewbitError(
    'usage',
    `The backend '${id}' has no products with ${activations} activations: choose 'int16' or 'f32', or another backend (the native 'cpu' has them).`,
  );
}
