import { createFormat, type QuantizedMatrix, tileGrid, tileIndex, tileOffset } from '@fewbit/formats';

/**
 * What a product by the codes of `matrix` lacks for each of its outliers: the outlier less what its code decodes to, in float32. Where every such
 * code decodes to 0, as those of plain integers do, these are the outliers' own values, and the same array. For matrices without `columnGroup`.
 */
export function outlierDifferences({ rows, cols, spec, codes, params, outliers }: QuantizedMatrix): Float32Array {
  if (!outliers) return new Float32Array(0);
  const { starts, columns, values } = outliers;
  const format = createFormat(spec);
  const grid = tileGrid(format, rows, cols);
  const differences = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let i = starts[row]!; i < starts[row + 1]!; i++) {
      const column = columns[i]!;
      const decoded = format.decode(codes[row * cols + column]!, params.at(tileIndex(grid, row, column)), tileOffset(grid, row, column));
      differences[i] = values[i]! - decoded;
    }
  }
  return differences.every((difference, i) => difference === values[i]) ? values : differences;
}
