import type { SparseMatrix } from '@fewbit/formats';
import type { OrderedMatrix } from './column-order.js';
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

/** What a weight's form says of what lies behind its codes, where there is any. */
export interface BesideCodes {
  readonly outliers?: OutlierPlaces;
  /** Where the numbers of the inputs in the order of its columns lie: bytes from the beginning. */
  readonly columnOrder?: number;
}

/** Room for `bytes` of the codes of `matrix`, which are of the form `form`; behind them its outliers and the order of its columns, which are written. */
export function holdCodes<A extends Float32Array>(
  memory: Pick<HostMemory<A>, 'hold'>,
  { rows, cols, ...rest }: OrderedMatrix,
  bytes: number,
  form: object,
): FormedTensor<A> {
  const behind: [number, Uint32Array | Float32Array][] = [];
  let end = 4 * Math.ceil(bytes / 4);
  const take = (words: Uint32Array | Float32Array) => {
    behind.push([end, words]);
    end += words.byteLength;
    return end - words.byteLength;
  };
  const { outliers, columnOrder } = rest;
  const beside: BesideCodes = {
    ...(outliers && { outliers: placeOutliers(outliers, outlierDifferences({ rows, cols, ...rest }), take) }),
    ...(columnOrder && { columnOrder: take(columnOrder) }),
  };
  const tensor = memory.hold([rows, cols], behind.length > 0 ? end : bytes, { ...form, ...beside });
  const { buffer, byteOffset } = tensor.data;
  for (const [at, words] of behind)
    new Uint32Array(buffer, byteOffset + at, words.length).set(new Uint32Array(words.buffer, words.byteOffset, words.length));
  return tensor;
}

function placeOutliers(
  { starts, columns, values }: SparseMatrix,
  differences: Float32Array,
  take: (words: Uint32Array | Float32Array) => number,
): OutlierPlaces {
  const first = { starts: take(starts), columns: take(columns), values: take(values) };
  return { ...first, differences: differences === values ? first.values : take(differences) };
}
