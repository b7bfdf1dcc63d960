import { type ModelDirectory, quantizationConfig } from '@fewbit/checkpoint';
import { toFloat32 } from '@fewbit/core';
import { type LayoutReading, storedFormat } from '@fewbit/formats';
import { linears, planModel } from '@fewbit/models';
import { layouts } from './layouts.js';
import type { Candidate } from './targets.js';

/** How the model says that it is quantized, by the first layout that knows it. Throws what `Layout.recognise` throws. */
export async function readLayout(directory: ModelDirectory): Promise<LayoutReading | undefined> {
  const quantization = await quantizationConfig(directory);
  return layouts.map((layout) => layout.recognise(quantization)).find((found) => found !== undefined);
}

/** A model on disk as the rules of engines see it: by its headers and second-level scales. */
export async function candidateOf({ config, checkpoint }: ModelDirectory, reading: LayoutReading): Promise<Candidate> {
  const { id, sharedTensors = [] } = reading.layout;
  const plan = planModel(config);
  const shared = new Map<string, string>();
  for (const { module } of linears(plan)) {
    const names = sharedTensors.filter((name) => checkpoint.tensors.get(`${module}.${name}`)?.dtype === 'F32');
    const held = names.map(async (name) => `${name} ${toFloat32(await checkpoint.read(`${module}.${name}`))[0]}`);
    shared.set(module, (await Promise.all(held)).join(', '));
  }
  return {
    ...{ layout: id, plan },
    ...(reading.keyValues && { keyValues: reading.keyValues }),
    format: (module) => storedFormat(reading, module, checkpoint.tensors),
    activation: (module) => reading.activation?.(module),
    shared: (module) => shared.get(module) ?? '',
    // compressed-tensors, whose rules alone ask, stores it only where groups are out of order
    columnGrouped: (module) => checkpoint.tensors.has(`${module}.weight_g_idx`),
  };
}
