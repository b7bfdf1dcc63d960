import type { FormedTensor, HostTensor } from '@fewbit/kernels';
import * as id from './control.js';
import type { Engine } from './engine.js';
import type { WeightForm } from './weight-forms.js';

/** Rows `tokens` of a table in any form → `out`. */
export function embed(engine: Engine, table: HostTensor | FormedTensor, tokens: Uint32Array, out: HostTensor): void {
  const columns = table.shape[1]!;
  const form = 'form' in table ? (table.form as WeightForm) : undefined;
  if (form?.kind === 'codes') {
    const rows = engine.heap.allocate(tokens.byteLength);
    new Uint32Array(engine.heap.memory.buffer, rows, tokens.length).set(tokens);
    engine.run(id.decodeRow, tokens.length, [table.data.byteOffset, rows, out.data.byteOffset]);
    engine.heap.free(rows);
  } else if (form?.kind === 'bf16') {
    const halves = new Uint16Array(table.data.buffer, table.data.byteOffset, 2 * table.data.length);
    const words = new Uint32Array(out.data.buffer, out.data.byteOffset, out.data.length);
    for (const [i, token] of tokens.entries()) {
      for (let j = 0; j < columns; j++) words[i * columns + j] = halves[token * columns + j]! << 16;
    }
  } else {
    for (const [i, token] of tokens.entries()) out.data.set(table.data.subarray(token * columns, (token + 1) * columns), i * columns);
  }
}
