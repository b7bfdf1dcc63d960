/**
 * The order in which the sweep rounds columns. Columns swept late take the errors of the earlier ones, so those that matter most go first.
 *
 * - `natural`: 0, 1, 2 …
 * - `activation`: by falling diag(H) (act-order of the GPTQ code; groups keep their columns, their grids are fitted before the sweep).
 * - `group-aware`: groups by their largest diag(H), and so inside each group: groups stay together, so that each is fitted when
 *   the sweep reaches it (GAR, arXiv 2505.14638).
 */
export type Order = 'natural' | 'activation' | 'group-aware';

/** order[k] = the column swept k-th. `importance` is diag(H) [cols]; ties keep their natural order. */
export function columnOrder(order: Order, importance: Float64Array, group: number): Uint32Array {
  const columns = Array.from(importance.keys());
  if (order === 'activation') columns.sort((a, b) => importance[b]! - importance[a]! || a - b);
  if (order === 'group-aware') {
    const largest = new Float64Array(Math.ceil(importance.length / group));
    importance.forEach((value, j) => {
      const g = Math.floor(j / group);
      largest[g] = Math.max(largest[g]!, value);
    });
    const groupOf = (j: number) => Math.floor(j / group);
    columns.sort(
      (a, b) => largest[groupOf(b)]! - largest[groupOf(a)]! || groupOf(a) - groupOf(b) || importance[b]! - importance[a]! || a - b,
    );
  }
  return Uint32Array.from(columns);
}
