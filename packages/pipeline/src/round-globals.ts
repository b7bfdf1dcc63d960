import { FewbitError, type FloatDType, type Matrix, matrix, type Tensor } from '@fewbit/core';
import { decodeMatrix, type QuantizedMatrix } from '@fewbit/formats';
import type { WeightSource } from '@fewbit/runtime';
import { reportOn, roundNearest, storeFloat } from './round-weight.js';
import type { LayerReport, QuantizeOptions, WeightFormat, WeightSite } from './types.js';

/** Embedding and head as they will be stored. */
export interface RoundedGlobals {
  /** `source`, with those in their rounded form. */
  readonly source: WeightSource;
  readonly reports: readonly LayerReport[];
}

/**
 * Rounds the embedding and the head, where they have a format, before anything runs through them: calibration then sees the model
 * as it will be. `emit` takes each as soon as it is rounded.
 */
export async function roundGlobals(
  source: WeightSource,
  sites: readonly WeightSite[],
  formats: ReadonlyMap<string, WeightFormat>,
  importance: QuantizeOptions['importance'],
  emit: (module: string, rounded: QuantizedMatrix | Tensor) => Promise<void>,
): Promise<RoundedGlobals> {
  const replaced = new Map<string, Matrix>();
  const reports: LayerReport[] = [];
  for (const { module, role, rows, cols } of sites) {
    const chosen = formats.get(module);
    if (role === 'linear' || chosen === undefined) continue;
    const weight = matrix(rows, cols, (await source.vector(`${module}.weight`)).data);
    const { rounded, decoded } = round(module, weight, chosen, importance);
    await emit(module, rounded);
    replaced.set(`${module}.weight`, decoded);
    reports.push(reportOn(module, weight, decoded, 'codes' in rounded ? rounded : (chosen as FloatDType), []));
  }
  return {
    source: {
      ...source,
      async vector(name) {
        const found = replaced.get(name);
        return found ? { shape: [found.rows, found.cols], data: found.data } : source.vector(name);
      },
      stored: async (module) => (replaced.has(`${module}.weight`) ? undefined : source.stored?.(module)),
      quantized: async (module) => (replaced.has(`${module}.weight`) ? undefined : source.quantized(module)),
    },
    reports,
  };
}

function round(module: string, weight: Matrix, chosen: WeightFormat, importance: QuantizeOptions['importance']) {
  if (typeof chosen === 'string') return floatOf(weight, chosen);
  const weights = importance?.(module);
  if (weights && weights.length !== weight.cols)
    throw new FewbitError(
      'calibration',
      `The importance of ${module} has ${weights.length} inputs, the matrix ${weight.cols}: it is of another model.`,
    );
  const rounded = roundNearest(weight, chosen, weights);
  return { rounded, decoded: decodeMatrix(rounded) };
}

function floatOf(weight: Matrix, dtype: FloatDType) {
  const { tensor, decoded } = storeFloat(weight, dtype);
  return { rounded: tensor, decoded };
}
