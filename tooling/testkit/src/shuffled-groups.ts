import { random } from '../../../packages/core/src/index.js';
import { createFormat, type QuantizedMatrix, tileGrid } from '../../../packages/formats/src/index.js';

/** `codes` with its columns, and so the groups that they are of, in any order. */
export function shuffledGroups(codes: QuantizedMatrix, seed: number): QuantizedMatrix {
  const { rows, cols, spec } = codes;
  const { below } = random(seed);
  const { tileCols } = tileGrid(createFormat(spec), rows, cols);
  const columnGroup = Uint32Array.from({ length: cols }, (_, column) => Math.floor(column / tileCols));
  for (let i = cols - 1; i > 0; i--) {
    const other = below(i + 1);
    [columnGroup[i], columnGroup[other]] = [columnGroup[other]!, columnGroup[i]!];
  }
  return { ...codes, columnGroup };
}
