import type { FormedTensor, HostTensor } from '@fewbit/kernels';
import { addOutliers } from './add-outliers.js';
import * as id from './control.js';
import type { Engine } from './engine.js';
import { fewRows, tasksPerThread } from './few-rows.js';
import { matmulCodes } from './matmul-codes.js';
import type { WeightForm } from './weight-forms.js';

/** Rows of x per task: a multiple of tileRows, large enough to repay packing 64 columns of w. */
const taskRows = 320;
/** Columns of a task of a product with few rows are a multiple of it. */
const columnsTogether = 4;

export function matmul(
  engine: Engine,
  allocate: (shape: readonly number[]) => HostTensor,
  x: HostTensor,
  w: HostTensor | FormedTensor,
  bias: HostTensor | undefined,
): HostTensor {
  const [m, k, n] = [x.shape[0]!, x.shape[1]!, w.shape[0]!];
  const form = 'form' in w ? (w.form as WeightForm) : undefined;
  const out = allocate([m, n]);
  if (form?.kind === 'codes') {
    matmulCodes(engine, form, x, w, bias, out);
    if (form.outliers) addOutliers(engine, form.outliers, x, w, out);
    return out;
  }
  const short = form?.kind === 'bf16';
  const rest = [w.data.byteOffset, out.data.byteOffset, bias ? bias.data.byteOffset : 0, m, k, n];
  if (m <= fewRows) {
    const share = Math.ceil(n / (tasksPerThread * engine.threads) / columnsTogether) * columnsTogether;
    engine.run(short ? id.multiplyRowsShort : id.multiplyRows, Math.ceil(n / share), [x.data.byteOffset, ...rest, share]);
    return out;
  }
  const left = engine.heap.allocate(Math.ceil(m / id.tileRows) * id.tileRows * k * 4);
  engine.run(id.packLeft, Math.ceil(m / id.tileRows), [x.data.byteOffset, k * 4, 4, m, k, left]);
  const rowBlocks = Math.ceil(m / taskRows);
  const blockRows = Math.ceil(m / rowBlocks / id.tileRows) * id.tileRows;
  const scratch = 256 + id.taskColumns * id.depth * 4 * (short ? 2 : 1);
  const tasks = rowBlocks * Math.ceil(n / id.taskColumns);
  engine.run(id.multiply, tasks, [left, ...rest, rowBlocks, blockRows, short ? 1 : 0], { scratch });
  engine.heap.free(left);
  return out;
}
