import type { FormedTensor, HostTensor } from '@fewbit/kernels';
import { addOutliers } from './add-outliers.js';
import * as id from './control.js';
import type { Engine } from './engine.js';
import { fewRows, tasksPerThread } from './few-rows.js';
import { matmulCodes } from './matmul-codes.js';
import type { WeightForm } from './weight-form.js';

/** Rows of x per task: a multiple of tileRows, large enough to repay packing 64 columns of w. */
const taskRows = 320;
/** Columns of a task of a product with few rows are a multiple of it. */
const columnsTogether = 4;
/** Room for a run of decoded weights. */
export const decodedBytes = id.depth * 4 + id.decodedPast;
/** By what w is. */
const fewRowsKernels = { f32: id.multiplyRows, bf16: id.multiplyRowsShort, levels: id.multiplyLevelsRows };
const rightKinds = { f32: id.rightFloats, bf16: id.rightShort, levels: id.rightLevels };

/** Addresses of w, out and bias; then m, k, n. */
type Rest = readonly [number, number, number, number, number, number];

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
  const rest: Rest = [w.data.byteOffset, out.data.byteOffset, bias ? bias.data.byteOffset : 0, m, k, n];
  const kind = form?.kind ?? 'f32';
  if (m <= fewRows) {
    const share = Math.ceil(n / (tasksPerThread * engine.threads) / columnsTogether) * columnsTogether;
    engine.run(fewRowsKernels[kind], Math.ceil(n / share), [x.data.byteOffset, ...rest, share], { scratch: decodedBytes });
  } else multiplyMany(engine, x, rest, kind);
  if (form?.kind === 'levels' && form.outliers) addOutliers(engine, form.outliers, x, w, out);
  return out;
}

/** A product with many rows of x, which are packed first. */
function multiplyMany(engine: Engine, x: HostTensor, rest: Rest, kind: keyof typeof rightKinds): void {
  const [, , , m, k, n] = rest;
  const left = engine.heap.allocate(Math.ceil(m / id.tileRows) * id.tileRows * k * 4);
  engine.run(id.packLeft, Math.ceil(m / id.tileRows), [x.data.byteOffset, k * 4, 4, m, k, left]);
  const rowBlocks = Math.ceil(m / taskRows);
  const blockRows = Math.ceil(m / rowBlocks / id.tileRows) * id.tileRows;
  const panels = id.taskColumns * id.depth * 4;
  const scratch = 256 + (kind === 'f32' ? panels : 2 * panels + id.decodedPast);
  const tasks = rowBlocks * Math.ceil(n / id.taskColumns);
  engine.run(id.multiply, tasks, [left, ...rest, rowBlocks, blockRows, rightKinds[kind]], { scratch });
  engine.heap.free(left);
}
