import { openModelDirectory } from '@fewbit/checkpoint';
import { FewbitError } from '@fewbit/core';
import type { Layout } from '@fewbit/formats';
import type { Backend } from '@fewbit/kernels';
import { openModel, openWeights, type WeightSource } from '@fewbit/runtime';

/** Same codes, same kernels: only the order of a decode may differ. */
const tolerance = 1e-4;

/**
 * Opens the checkpoint just written as any user would and compares its logits with those of the model in memory.
 * Returns their relative L2 difference. Throws `output` when they disagree, and what `goOn`, called between layers, throws to stop.
 */
export async function readBack(
  path: string,
  layout: Layout,
  tokens: Uint32Array,
  expected: Float32Array,
  backend: Backend,
  goOn: () => void,
): Promise<number> {
  const directory = await openModelDirectory(path);
  try {
    const source = stoppable(await openWeights(directory, [layout]), goOn);
    const model = await openModel(source, backend, { decode: true });
    try {
      const difference = relativeDistance((await model.logits(tokens)).data, expected);
      if (!(difference <= tolerance)) {
        throw new FewbitError(
          'output',
          `What was written reads back with logits that differ by ${difference} (relative L2) from the model in memory; at most ${tolerance} is rounding. It was removed: please report this.`,
        );
      }
      return difference;
    } finally {
      await model.close();
      await source.close();
    }
  } finally {
    await directory.close();
  }
}

function stoppable(source: WeightSource, goOn: () => void): WeightSource {
  return {
    ...source,
    quantized(module) {
      goOn();
      return source.quantized(module);
    },
  };
}

function relativeDistance(a: Float32Array, b: Float32Array): number {
  let distance = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    distance += (a[i]! - b[i]!) ** 2;
    norm += b[i]! ** 2;
  }
  return Math.sqrt(distance / norm);
}
