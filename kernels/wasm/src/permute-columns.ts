import type { FormedTensor, HostTensor } from '@fewbit/kernels';
import * as id from './control.js';
import type { Engine } from './engine.js';
import type { WeightForm } from './weight-form.js';

/** Where the order of a weight's columns lies, where they have one of their own. */
export function orderOf(weight: HostTensor | FormedTensor): number | undefined {
  const form = 'form' in weight ? (weight.form as WeightForm) : undefined;
  return form && 'columnOrder' in form && form.columnOrder !== undefined ? weight.data.byteOffset + form.columnOrder : undefined;
}

/** The columns of `from` in the order that lies at `order`, or from it `back` into their own. */
export function permuteColumns(engine: Engine, from: HostTensor, to: HostTensor, order: number, back: boolean): void {
  const [rows, cols] = from.shape as [number, number];
  engine.run(id.permuteColumns, rows, [from.data.byteOffset, order, to.data.byteOffset, cols, back ? 1 : 0]);
}
