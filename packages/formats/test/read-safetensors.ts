import { readFileSync } from 'node:fs';
import type { Tensor } from '@fewbit/core';

/** All tensors of a file that another program wrote, without the checks of `@fewbit/checkpoint`. */
export function readSafetensors(path: string): Map<string, Tensor> {
  const file = readFileSync(path);
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header: Record<string, { dtype: Tensor['dtype']; shape: number[]; data_offsets: [number, number] }> = JSON.parse(
    file.toString('utf8', 8, start),
  );
  const entries = Object.entries(header).filter(([name]) => name !== '__metadata__');
  return new Map(
    entries.map(([name, { dtype, shape, data_offsets: offsets }]) => [
      name,
      { dtype, shape, data: file.subarray(start + offsets[0], start + offsets[1]) },
    ]),
  );
}
