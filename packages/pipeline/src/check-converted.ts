import { openModelDirectory } from '@fewbit/checkpoint';
import { FewbitError, type Matrix, toFloat32 } from '@fewbit/core';
import { decodeMatrix, type Layout, type QuantizedMatrix } from '@fewbit/formats';
import { type LinearPlan, linears } from '@fewbit/models';
import { openWeights, type WeightSource } from '@fewbit/runtime';
import { throwIfAborted } from './course.js';
import { storedAs } from './stored-as.js';
import type { FloatType } from './types.js';

interface Converted {
  readonly layout: Layout | undefined;
  readonly floats: FloatType | undefined;
  /** What was written for a layer that was quantized before; undefined for its decoded weight. */
  meant(linear: LinearPlan, before: QuantizedMatrix): QuantizedMatrix | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Compares every layer of the written model, as any reader has it, with what was meant to be written. Returns whether all of them are the
 * same numbers as in `source`. Throws `output` where something else was written.
 */
export async function checkConverted(path: string, source: WeightSource, { layout, floats, meant, signal }: Converted): Promise<boolean> {
  const directory = await openModelDirectory(path);
  try {
    const written = await openWeights(directory, layout ? [layout] : []);
    let same = true;
    for (const linear of linears(source.plan)) {
      throwIfAborted(signal, linear.module);
      const before = await source.quantized(linear.module);
      const codes = before && meant(linear, before);
      const original = await source.linear(linear.module);
      const expected = codes ? decodeMatrix(codes).data : rounded(original, floats);
      const found = (await written.linear(linear.module)).data;
      const at = found.findIndex((value, i) => value !== expected[i]);
      if (at >= 0) {
        throw new FewbitError(
          'output',
          `${path} reads back with ${found[at]} at ${at} of ${linear.module}.weight, where ${expected[at]} was written. The files are not to be trusted: please report this.`,
        );
      }
      same &&= found.every((value, i) => value === original.data[i]);
    }
    return same;
  } finally {
    await directory.close();
  }
}

function rounded({ rows, cols, data }: Matrix, floats: FloatType | undefined): Float32Array {
  return floats === undefined ? data : toFloat32(storedAs(floats, data, [rows, cols]));
}
