import type { FormedTensor, HostTensor } from '@fewbit/kernels';
import { addressesOf } from './add-outliers.js';
import * as id from './control.js';
import type { Engine } from './engine.js';
import { decodedBytes } from './matmul.js';
import type { WeightForm } from './weight-form.js';

/** Rows of one job: its operands must fit. */
export const rowsAtOnce = 16384;

/** Rows `tokens` of a table in any form → `out`. */
export function embed(engine: Engine, table: HostTensor | FormedTensor, tokens: Uint32Array, out: HostTensor): void {
  const columns = table.shape[1]!;
  const form = 'form' in table ? (table.form as WeightForm) : undefined;
  for (let at = 0; at < tokens.length; at += rowsAtOnce) {
    const operands = tokens.subarray(at, at + rowsAtOnce);
    const [from, to] = [table.data.byteOffset, out.data.byteOffset + at * columns * 4];
    if (form?.kind === 'codes') engine.run(id.decodeRow, operands.length, [from, to], { operands });
    else if (form?.kind === 'levels') engine.run(id.decodeLevels, operands.length, [from, to], { operands, scratch: decodedBytes });
    else engine.run(id.pickRow, operands.length, [from, to, columns, form ? 1 : 0], { operands });
    if (!form || !('outliers' in form) || !form.outliers) continue;
    const entries = addressesOf(form.outliers, table, form.outliers.values);
    engine.run(id.putEntries, operands.length, [...entries, to, columns], { operands });
  }
}
