import type { QuantizedMatrix } from '@fewbit/formats';
import type { FormedTensor, HostMemory } from './host-memory.js';
import { outlierDifferences } from './outlier-differences.js';

/** Where a weight's outliers lie behind its codes: bytes from the beginning. Each is an array of 32-bit words, aligned to them. */
export interface OutlierPlaces {
  /** Entries of row r are those from starts[r] to starts[r + 1] − 1. */
  readonly starts: number;
  readonly columns: number;
  /** What stands in the place of what a code decodes to: for `embed`. */
  readonly values: number;
  /** What products by the codes lack; the same place where the values are just that. */
  readonly differences: number;
}

/** Room for `bytes` of the codes of `matrix`, which are of the form `form`; behind them its outliers, which are written. */
export function holdCodes<A extends Float32Array>(
  memory: Pick<HostMemory<A>, 'hold'>,
  { rows, cols, ...rest }: QuantizedMatrix,
  bytes: number,
  form: object,
): FormedTensor<A> {
  const { outliers } = rest;
  if (!outliers) return memory.hold([rows, cols], bytes, form);
  const { starts, columns, values } = outliers;
  const differences = outlierDifferences({ rows, cols, ...rest });
  let end = 4 * Math.ceil(bytes / 4);
  const take = ({ byteLength }: Uint32Array | Float32Array) => {
    end += byteLength;
    return end - byteLength;
  };
  const first = { starts: take(starts), columns: take(columns), values: take(values) };
  const places: OutlierPlaces = { ...first, differences: differences === values ? first.values : take(differences) };
  const tensor = memory.hold([rows, cols], end, { ...form, outliers: places });
  const { buffer, byteOffset } = tensor.data;
  new Uint32Array(buffer, byteOffset + places.starts, starts.length).set(starts);
  new Uint32Array(buffer, byteOffset + places.columns, columns.length).set(columns);
  new Float32Array(buffer, byteOffset + places.values, values.length).set(values);
  new Float32Array(buffer, byteOffset + places.differences, differences.length).set(differences);
  return tensor;
}
