import { openModelDirectory } from '@fewbit/checkpoint';
import { FewbitError, type Matrix, matrix, toFloat32 } from '@fewbit/core';
import { decodeMatrix, type Layout, type QuantizedMatrix } from '@fewbit/formats';
import { openWeights, type WeightSource } from '@fewbit/runtime';
import { throwIfAborted } from './course.js';
import { storedAs } from './stored-as.js';
import type { FloatType, WeightSite } from './types.js';
import { weightSites } from './weight-formats.js';

interface Converted {
  readonly layout: Layout | undefined;
  readonly floats: FloatType | undefined;
  /** What was written for a matrix that was quantized before; undefined for its decoded weight. */
  meant(site: WeightSite, before: QuantizedMatrix): QuantizedMatrix | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Compares every layer of the written model, and embedding and head where they were in codes, as any reader has them, with what was meant to be written. Returns whether all of them are the
 * same numbers as in `source`. Throws `output` where something else was written.
 */
export async function checkConverted(path: string, source: WeightSource, { layout, floats, meant, signal }: Converted): Promise<boolean> {
  const directory = await openModelDirectory(path);
  try {
    const written = await openWeights(directory, layout ? [layout] : []);
    let same = true;
    for (const site of weightSites(source.plan)) {
      throwIfAborted(signal, site.module);
      const before = await source.quantized(site.module);
      if (!before && site.role !== 'linear') continue;
      const codes = before && meant(site, before);
      const original = await weightOf(source, site);
      const expected = codes ? decodeMatrix(codes).data : rounded(original, floats);
      const found = (await weightOf(written, site)).data;
      const at = found.findIndex((value, i) => value !== expected[i]);
      if (at >= 0) {
        throw new FewbitError(
          'output',
          `${path} reads back with ${found[at]} at ${at} of ${site.module}.weight, where ${expected[at]} was written. The files are not to be trusted: please report this.`,
        );
      }
      same &&= found.every((value, i) => value === original.data[i]);
    }
    return same;
  } finally {
    await directory.close();
  }
}

async function weightOf(source: WeightSource, { module, role, rows, cols }: WeightSite): Promise<Matrix> {
  return role === 'linear' ? source.linear(module) : matrix(rows, cols, (await source.vector(`${module}.weight`)).data);
}

function rounded({ rows, cols, data }: Matrix, floats: FloatType | undefined): Float32Array {
  return floats === undefined ? data : toFloat32(storedAs(floats, data, [rows, cols]));
}
